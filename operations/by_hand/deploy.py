"""A deployment with ordinary commands."""

from __future__ import annotations

from operations.operation import ByHand
from operations.task_definition import REGISTERED


def steps() -> tuple[ByHand, ...]:
    return (
        ByHand(
            "Preflight: what runs now, and is the new image there?",
            (
                'aws ecs describe-services --cluster "$CLUSTER" --services "$SERVICE"'
                " --query 'services[].[taskDefinition,desiredCount,runningCount,deployments[].[status,rolloutState]]'",
                'aws ecr describe-images --repository-name "$REPOSITORY" --image-ids "imageDigest=$DIGEST"'
                " --query 'imageDetails[].[imageTags,imagePushedAt]'",
                'export BEFORE="$(aws ecs describe-services --cluster "$CLUSTER" --services "$SERVICE"'
                " --query 'services[0].taskDefinition' --output text)\"",
            ),
            "Go on only when one deployment is COMPLETED and the image is listed. Write $BEFORE down:"
            " it is the way back.",
        ),
        ByHand(
            "Register the migration and the release from their templates",
            (
                _register_by_hand("$MIGRATION_TEMPLATE", "$MIGRATION_FAMILY", "MIGRATION"),
                _register_by_hand("$TEMPLATE", "$FAMILY", "RELEASE"),
            ),
        ),
        ByHand(
            "Migrate: the point of no return for the schema",
            (
                'export TASK="$(aws ecs run-task --cluster "$CLUSTER" --task-definition "$MIGRATION"'
                ' --launch-type FARGATE --count 1 --network-configuration "awsvpcConfiguration={subnets=[$SUBNETS],'
                "securityGroups=[$SECURITY_GROUPS],assignPublicIp=DISABLED}\" --query 'tasks[0].taskArn'"
                ' --output text)"',
                'aws ecs wait tasks-stopped --cluster "$CLUSTER" --tasks "$TASK"',
                'aws ecs describe-tasks --cluster "$CLUSTER" --tasks "$TASK" --query'
                " 'tasks[].[lastStatus,stoppedReason,containers[].exitCode]'",
            ),
            "The exit code must be 0. If it isn't, stop here: the service is untouched.",
        ),
        ByHand(
            "Roll out, and watch",
            (
                'aws ecs update-service --cluster "$CLUSTER" --service "$SERVICE" --task-definition "$RELEASE"'
                ' --desired-count "$COUNT" --query service.deployments',
                'aws ecs wait services-stable --cluster "$CLUSTER" --services "$SERVICE"',
                'aws ecs describe-services --cluster "$CLUSTER" --services "$SERVICE"'
                " --query 'services[].[taskDefinition,deployments[].[rolloutState,rolloutStateReason]]'",
            ),
            "It must be on $RELEASE and COMPLETED; ECS goes back to $BEFORE by itself when tasks fail.",
        ),
        ByHand(
            "Way back",
            ('aws ecs update-service --cluster "$CLUSTER" --service "$SERVICE" --task-definition "$BEFORE"',),
        ),
    )


def _register_by_hand(template: str, family: str, variable: str) -> str:
    """jq keeps what RegisterTaskDefinition takes."""
    kept = ", ".join(REGISTERED)
    return (
        f'export {variable}="$(aws ecs describe-task-definition --task-definition "{template}" --query taskDefinition |'
        f' jq --arg family "{family}" --arg image "$REPOSITORY_URL@$DIGEST"'
        f" '{{{kept}}} | with_entries(select(.value != null)) | .family = $family"
        " | .containerDefinitions[0].image = $image' |"
        " aws ecs register-task-definition --cli-input-json file:///dev/stdin"
        ' --query taskDefinition.taskDefinitionArn --output text)"'
    )
