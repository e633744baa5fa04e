import json

from tests.components.build import build
from tests.components.samples import KEY, REPOSITORY, SECRET
from tests.stacks.recording import policy


def container(**changes):
    run = build("task_template", "TaskTemplate", **changes)
    (only,) = json.loads(run.one("TaskDefinition").inputs["containerDefinitions"])
    return only


def test_it_names_no_release():
    run = build("task_template", "TaskTemplate")
    assert run.one("TaskDefinition").inputs["family"] == "thing-template"
    assert container()["image"] == "123456789012.dkr.ecr.us-east-1.amazonaws.com/web:template"


def test_secrets_are_references_and_variables_plain():
    made = container()
    assert made["secrets"] == [{"name": "PASSWORD", "valueFrom": f"{SECRET}:password::"}]
    assert made["environment"] == [{"name": "A", "value": "b"}]


def test_a_serving_container_has_a_port_and_a_one_off_has_a_command():
    assert container()["portMappings"] == [{"containerPort": 8080, "hostPort": 8080, "protocol": "tcp"}]
    one_off = container(port=None, command=["python", "-m", "chat.migrate"])
    assert "portMappings" not in one_off
    assert one_off["command"] == ["python", "-m", "chat.migrate"]


def test_its_role_reads_its_own_secrets_image_and_log_only():
    statements = policy(build("task_template", "TaskTemplate").one("RolePolicy").inputs["policy"])
    allowed = {json.dumps(each["Action"]): each["Resource"] for each in statements}
    assert allowed == {
        '"ecr:GetAuthorizationToken"': "*",
        '["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]': REPOSITORY,
        '["logs:CreateLogStream", "logs:PutLogEvents"]': (
            "arn:aws:logs:us-east-1:123456789012:log-group:/chatvrm/test/web:*"
        ),
        '"secretsmanager:GetSecretValue"': [SECRET],
        '"kms:Decrypt"': KEY,
    }
    decrypt = statements[-1]
    assert decrypt["Condition"] == {"StringEquals": {"kms:ViaService": "secretsmanager.us-east-1.amazonaws.com"}}


def test_without_secrets_its_role_decrypts_nothing():
    text = build("task_template", "TaskTemplate", secrets={}).one("RolePolicy").inputs["policy"]
    assert "secretsmanager" not in text
    assert "kms" not in text


def test_only_tasks_of_the_same_account_assume_its_role():
    (statement,) = policy(build("task_template", "TaskTemplate").one("Role").inputs["assumeRolePolicy"])
    assert statement["Principal"] == {"Service": "ecs-tasks.amazonaws.com"}
    assert statement["Condition"] == {"StringEquals": {"aws:SourceAccount": "123456789012"}}


def test_size_is_a_text_as_ecs_wants_it():
    task = build("task_template", "TaskTemplate").one("TaskDefinition").inputs
    assert (task["cpu"], task["memory"]) == ("256", "512")
    assert task["requiresCompatibilities"] == ["FARGATE"]
