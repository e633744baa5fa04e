"""One environment of a platform, from its settings. Each part is built by the file that is named after its matter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pulumi
import pulumi_aws as aws

from components.manifest import Manifest, ManifestArgs
from stacks.environment import access, alarms, data, edge, foundation, names, safekeeping, watch, web
from stacks.environment.document import document
from stacks.environment.existing import Adoption, Existing
from stacks.platforms.model import Platform
from stacks.settings import Settings


class Environment:
    """Builds everything when it is made; `outputs` are what the stack exports, never a secret's value."""

    outputs: Mapping[str, pulumi.Input[Any]]

    def __init__(self, settings: Settings, platform: Platform) -> None:
        self.settings = settings
        self.platform = platform
        self.prefix = f"{settings.platform}-{settings.environment}"
        self.opts = pulumi.ResourceOptions(providers=[self._provider()])

        self.existing = Existing(self)
        adoption = Adoption(settings)
        self.boundary = access.boundary(self)
        self.encryption = foundation.encryption(self)
        self.network = foundation.network(self)
        self.security_groups = foundation.security_groups(self)
        self.secrets = foundation.secrets(self)
        self.database = data.database(self)
        self.cache = data.cache(self)
        self.registry = web.registry(self)
        self.load_balancer = web.load_balancer(self)
        self.url = web.url(self)
        self.cluster = web.cluster(self)
        self.service = web.service(self)
        self.autoscaling = watch.autoscaling(self)
        self.log_metrics = watch.log_metrics(self)
        self.notifications = watch.notifications(self)
        self.metric_alarms = alarms.metric_alarms(self)
        self.alarms = watch.alarms(self)
        self.dashboard = watch.dashboard(self)
        self.recovery_site = names.recovery_site(self)
        self.dns = names.dns(self)
        self.edge = edge.edge(self)
        self.recovery_encryption = safekeeping.recovery_encryption(self)
        self.backups = safekeeping.backups(self)
        self.flow_logs = safekeeping.flow_logs(self)
        self.budget = safekeeping.budget(self)
        self.people = access.people(self)
        self.github_roles = access.github_roles(self)
        self.runbook_roles = access.runbook_roles(self)
        self.manifest = Manifest(
            f"{self.prefix}-manifest",
            ManifestArgs(
                parameter=access.manifest(self),
                recovery_region=settings.recovery_region,
                document=document(self),
            ),
            self.opts,
        )
        adoption.check()
        self.outputs = {
            "platform": settings.platform,
            "environment": settings.environment,
            "url": self.url,
            "manifest": self.manifest.parameter,
            "cluster": self.cluster.cluster,
            "service": self.service.service,
            "repository_url": self.registry.repository_url,
            "load_balancer": self.load_balancer.dns_name,
            "dns_zone": self.dns.zone_id,
            "dns_name_servers": self.dns.name_servers,
            "dns_name": self.dns.record,
            "dns_predicted_recovery_seconds": self.dns.predicted_recovery_seconds,
            "recovery_site": self.recovery_site.dns_name,
            "database_endpoint": self.database.address,
            "database_port": self.database.port,
            "database_name": platform.database.name,
            "database_master_secret": self.secrets.master_arn,
            "database_application_secret": self.secrets.application_arn,
            "cache_endpoint": self.cache.address,
            "cache_port": self.cache.port,
            "cache_secret": self.secrets.cache_arn,
        }

    def _provider(self) -> aws.Provider:
        settings = self.settings
        return aws.Provider(
            self.prefix,
            region=settings.region,
            # What keeps a shell with other credentials from applying this stack to another account.
            allowed_account_ids=[settings.account],
            default_tags=aws.ProviderDefaultTagsArgs(
                tags={
                    "platform": settings.platform,
                    "environment": settings.environment,
                    "managed-by": "drydock",
                }
            ),
        )
