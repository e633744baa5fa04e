"""Identity providers that speak OpenID Connect."""

from __future__ import annotations

import re
import time
from urllib.parse import urlsplit

from dock.aws.iam.credentials import Credentials
from dock.aws.iam.records import page, tag_list, tags_of, taken
from dock.aws.service import AwsError, Call, Request, Response, operation
from dock.store import Record

CLIENT_IDS = 100
_THUMBPRINT = re.compile(r"[0-9A-Fa-f]{40}")


class Federation(Credentials):
    @operation("CreateOpenIDConnectProvider", acts="Url ClientIDList Tags", records="ThumbprintList")
    async def create_open_id_connect_provider(self, call: Call, request: Request) -> Response:
        url = urlsplit(request["Url"])
        if url.scheme not in ("https", "http") or not url.netloc or url.query:
            raise AwsError("InvalidInputException", "Invalid Open ID Connect Provider URL")
        if url.scheme == "http" and not url.netloc.startswith("127."):
            raise AwsError("InvalidInputException", "Open ID Connect Provider URL must begin with https://")
        name = url.netloc + url.path.rstrip("/")
        provider = f"arn:aws:iam::{call.account}:oidc-provider/{name}"
        if self.oidc_providers.get(call.account, provider) is not None:
            raise taken("Provider", provider)
        record: Record = {
            "arn": provider,
            "url": name,
            "scheme": url.scheme,
            "client_ids": self._client_ids(request.get("ClientIDList", [])),
            "thumbprints": _thumbprints(request),
            "created": time.time(),
            "tags": tags_of(request),
        }
        self.oidc_providers.put(call.account, provider, record)
        return {"OpenIDConnectProviderArn": provider, "Tags": tag_list(record["tags"])}

    @operation("GetOpenIDConnectProvider", acts="OpenIDConnectProviderArn")
    async def get_open_id_connect_provider(self, call: Call, request: Request) -> Response:
        record = self._provider(call, request)
        return {
            "Url": record["url"],
            "ClientIDList": record["client_ids"],
            "ThumbprintList": record["thumbprints"],
            "CreateDate": record["created"],
            "Tags": tag_list(record["tags"]),
        }

    @operation("ListOpenIDConnectProviders")
    async def list_open_id_connect_providers(self, call: Call, request: Request) -> Response:
        found = [{"Arn": record["arn"]} for record in self.oidc_providers.list(call.account)]
        return {"OpenIDConnectProviderList": found}

    @operation("DeleteOpenIDConnectProvider", acts="OpenIDConnectProviderArn")
    async def delete_open_id_connect_provider(self, call: Call, request: Request) -> Response:
        self.oidc_providers.delete(call.account, self._provider(call, request)["arn"])
        return {}

    @operation("AddClientIDToOpenIDConnectProvider", acts="OpenIDConnectProviderArn ClientID")
    async def add_client_id(self, call: Call, request: Request) -> Response:
        record = self._provider(call, request)
        record["client_ids"] = self._client_ids([*record["client_ids"], request["ClientID"]])
        self.oidc_providers.put(call.account, record["arn"], record)
        return {}

    @operation("RemoveClientIDFromOpenIDConnectProvider", acts="OpenIDConnectProviderArn ClientID")
    async def remove_client_id(self, call: Call, request: Request) -> Response:
        record = self._provider(call, request)
        record["client_ids"] = [name for name in record["client_ids"] if name != request["ClientID"]]
        self.oidc_providers.put(call.account, record["arn"], record)
        return {}

    @operation("UpdateOpenIDConnectProviderThumbprint", acts="OpenIDConnectProviderArn", records="ThumbprintList")
    async def update_thumbprint(self, call: Call, request: Request) -> Response:
        record = {**self._provider(call, request), "thumbprints": _thumbprints(request)}
        self.oidc_providers.put(call.account, record["arn"], record)
        return {}

    @operation("TagOpenIDConnectProvider", acts="OpenIDConnectProviderArn Tags")
    async def tag_provider(self, call: Call, request: Request) -> Response:
        record = self._provider(call, request)
        record["tags"] |= tags_of(request)
        self.oidc_providers.put(call.account, record["arn"], record)
        return {}

    @operation("UntagOpenIDConnectProvider", acts="OpenIDConnectProviderArn TagKeys")
    async def untag_provider(self, call: Call, request: Request) -> Response:
        record = self._provider(call, request)
        record["tags"] = {name: value for name, value in record["tags"].items() if name not in request["TagKeys"]}
        self.oidc_providers.put(call.account, record["arn"], record)
        return {}

    @operation("ListOpenIDConnectProviderTags", acts="OpenIDConnectProviderArn Marker MaxItems")
    async def list_provider_tags(self, call: Call, request: Request) -> Response:
        return page(request, "Tags", tag_list(self._provider(call, request)["tags"]))

    def _provider(self, call: Call, request: Request) -> Record:
        arn = request["OpenIDConnectProviderArn"]
        record = self.oidc_providers.get(call.account, arn)
        if record is None:
            raise AwsError("NoSuchEntityException", f"OpenIDConnect Provider not found for arn {arn}", 404)
        return record

    @staticmethod
    def _client_ids(names: list[str]) -> list[str]:
        unique = list(dict.fromkeys(names))
        if len(unique) > CLIENT_IDS:
            raise AwsError(
                "LimitExceededException",
                f"Cannot exceed quota for ClientIdsPerOpenIdConnectProvider: {CLIENT_IDS}",
                409,
            )
        return unique


def _thumbprints(request: Request) -> list[str]:
    thumbprints: list[str] = request.get("ThumbprintList", [])
    for thumbprint in thumbprints:
        if not _THUMBPRINT.fullmatch(thumbprint):
            raise AwsError("InvalidInputException", "Thumbprint is not valid.")
    return thumbprints
