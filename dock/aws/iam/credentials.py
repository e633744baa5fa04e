"""Access keys and virtual MFA devices of users."""

from __future__ import annotations

import base64
import secrets
import time
from collections.abc import Iterator
from typing import Any

from dock.access.keys import key_id
from dock.aws.iam import totp
from dock.aws.iam.policies import Policies
from dock.aws.iam.records import arn, check_name, in_use, missing, page, tag_list, tags_of, taken
from dock.aws.iam.records import check_path as _check_path
from dock.aws.service import AwsError, Call, Request, Response, operation
from dock.store import Record, Scope

KEYS = 2
MFA_DEVICES = 8
_SECRET, _SEED = "access-key", "mfa-seed"
_SEED_BYTES = 40


class Credentials(Policies):
    @operation("CreateAccessKey", acts="UserName")
    async def create_access_key(self, call: Call, request: Request) -> Response:
        user = self.user(call.account, request.get("UserName") or self.own_user_name(call))
        if len(self._keys(call.account, user["name"])) >= KEYS:
            raise AwsError("LimitExceededException", f"Cannot exceed quota for AccessKeysPerUser: {KEYS}", 409)
        identifier, secret = key_id("AKIA", call.account), secrets.token_urlsafe(30)
        record = {
            "id": identifier,
            "user": user["name"],
            "secret": self.vault.seal(secret, _SECRET),
            "status": "Active",
            "created": time.time(),
        }
        self.access_keys.put(call.account, identifier, record)
        return {"AccessKey": {**_key_view(record), "SecretAccessKey": secret}}

    @operation("ListAccessKeys", acts="UserName Marker MaxItems")
    async def list_access_keys(self, call: Call, request: Request) -> Response:
        user = self.user(call.account, request.get("UserName") or self.own_user_name(call))
        return page(request, "AccessKeyMetadata", map(_key_view, self._keys(call.account, user["name"])))

    @operation("UpdateAccessKey", acts="UserName AccessKeyId Status")
    async def update_access_key(self, call: Call, request: Request) -> Response:
        record = self._key(call, request)
        self.access_keys.put(call.account, record["id"], {**record, "status": request["Status"]})
        return {}

    @operation("DeleteAccessKey", acts="UserName AccessKeyId")
    async def delete_access_key(self, call: Call, request: Request) -> Response:
        self.access_keys.delete(call.account, self._key(call, request)["id"])
        return {}

    @operation("GetAccessKeyLastUsed", acts="AccessKeyId")
    async def get_access_key_last_used(self, call: Call, request: Request) -> Response:
        record = self.access_keys.get(call.account, request["AccessKeyId"])
        if record is None:
            raise missing("Access Key", request["AccessKeyId"])
        used = self.uses.get(Scope(call.account, ""), record["id"])
        last = {"ServiceName": "N/A", "Region": "N/A"}
        if used is not None:
            last = {"LastUsedDate": used["at"], "ServiceName": used.get("service", "N/A"), "Region": used["region"]}
        return {"UserName": record["user"], "AccessKeyLastUsed": last}

    def _keys(self, account: str, user: str) -> list[Record]:
        return [record for record in self.access_keys.list(account) if record["user"] == user]

    def _key(self, call: Call, request: Request) -> Record:
        record = self.access_keys.get(call.account, request["AccessKeyId"])
        user = request.get("UserName") or (record and record["user"])
        if record is None or record["user"] != user:
            raise missing("Access Key", request["AccessKeyId"])
        return record

    def secret_of(self, record: Record) -> str:
        """A key's secret, which is kept sealed."""
        return str(self.vault.open(record["secret"], _SECRET))

    # MFA

    @operation("CreateVirtualMFADevice", acts="VirtualMFADeviceName Path Tags")
    async def create_virtual_mfa_device(self, call: Call, request: Request) -> Response:
        name = check_name("virtualMFADeviceName", request["VirtualMFADeviceName"])
        serial = arn(call.account, "mfa", _check_path(request), name)
        if self.mfa_devices.get(call.account, serial) is not None:
            raise taken("MFADevice entity at the same path and", name)
        seed = base64.b32encode(secrets.token_bytes(_SEED_BYTES)).decode()
        record = {
            "serial": serial,
            "seed": self.vault.seal(seed, _SEED),
            "user": None,
            "enabled": None,
            "step": 0,
            "tags": tags_of(request),
        }
        self.mfa_devices.put(call.account, serial, record)
        return {"VirtualMFADevice": {"SerialNumber": serial, "Base32StringSeed": seed.encode()}}

    @operation("EnableMFADevice", acts="UserName SerialNumber AuthenticationCode1 AuthenticationCode2")
    async def enable_mfa_device(self, call: Call, request: Request) -> Response:
        user = self.user(call.account, request["UserName"])
        record = self._device(call, request)
        if record["user"] is not None:
            raise taken("MFA Device", record["serial"])
        if len(list(self.devices_of(call.account, user["name"]))) >= MFA_DEVICES:
            raise AwsError("LimitExceededException", f"Cannot exceed quota for MFADevicesPerUser: {MFA_DEVICES}", 409)
        self._synchronise(record, request)
        record |= {"user": user["name"], "enabled": time.time()}
        self.mfa_devices.put(call.account, record["serial"], record)
        return {}

    @operation("ResyncMFADevice", acts="UserName SerialNumber AuthenticationCode1 AuthenticationCode2")
    async def resync_mfa_device(self, call: Call, request: Request) -> Response:
        record = self._device(call, request)
        self._synchronise(record, request)
        self.mfa_devices.put(call.account, record["serial"], record)
        return {}

    def _synchronise(self, record: Record, request: Request) -> None:
        """Two codes in a row prove who has the device."""
        seed, now = self.vault.open(record["seed"], _SEED), time.time()
        first = totp.step_of(seed, request["AuthenticationCode1"], now, record["step"])
        if first is None or request["AuthenticationCode2"] != totp.code(seed, first + 1):
            raise AwsError("InvalidAuthenticationCodeException", "Authentication code for device is not valid.", 403)
        record["step"] = first + 1

    @operation("DeactivateMFADevice", acts="UserName SerialNumber")
    async def deactivate_mfa_device(self, call: Call, request: Request) -> Response:
        record = self._device(call, request)
        if record["user"] is None or record["user"] != request.get("UserName", record["user"]):
            raise missing("MFA Device for user", record["serial"])
        self.mfa_devices.put(call.account, record["serial"], {**record, "user": None, "enabled": None})
        return {}

    @operation("DeleteVirtualMFADevice", acts="SerialNumber")
    async def delete_virtual_mfa_device(self, call: Call, request: Request) -> Response:
        record = self._device(call, request)
        if record["user"] is not None:
            raise in_use("MFA VirtualDevice in use. Must deactivate first")
        self.mfa_devices.delete(call.account, record["serial"])
        return {}

    @operation("ListMFADevices", acts="UserName Marker MaxItems")
    async def list_mfa_devices(self, call: Call, request: Request) -> Response:
        name = self.user(call.account, request.get("UserName") or self.own_user_name(call))["name"]
        return page(request, "MFADevices", map(_device_view, self.devices_of(call.account, name)))

    @operation("ListVirtualMFADevices", acts="AssignmentStatus Marker MaxItems")
    async def list_virtual_mfa_devices(self, call: Call, request: Request) -> Response:
        wanted = {"Assigned": [True], "Unassigned": [False]}.get(request.get("AssignmentStatus", "Any"), [True, False])
        found = [record for record in self.mfa_devices.list(call.account) if (record["user"] is not None) in wanted]
        shown = [
            {
                "SerialNumber": record["serial"],
                "EnableDate": record["enabled"],
                "User": self._owner(call.account, record),
                "Tags": tag_list(record["tags"]) or None,
            }
            for record in found
        ]
        return page(request, "VirtualMFADevices", shown)

    def _owner(self, account: str, record: Record) -> dict[str, Any] | None:
        if record["user"] is None:
            return None
        user = self.user(account, record["user"])
        return {
            "UserName": user["name"],
            "Path": user["path"],
            "Arn": user["arn"],
            "UserId": user["id"],
            "CreateDate": user["created"],
        }

    def devices_of(self, account: str, user: str) -> Iterator[Record]:
        return (record for record in self.mfa_devices.list(account) if record["user"] == user)

    def _device(self, call: Call, request: Request) -> Record:
        record = self.mfa_devices.get(call.account, request["SerialNumber"])
        if record is None:
            raise missing("VirtualMFADevice", request["SerialNumber"])
        return record

    def check_mfa(self, account: str, user: str, serial: str, given: str) -> bool:
        """Whether the code is the user's device's, now, and used for the first time. That it was is durable then."""
        record = self.mfa_devices.get(account, serial)
        if record is None or record["user"] != user:
            return False
        step = totp.step_of(self.vault.open(record["seed"], _SEED), given, time.time(), record["step"])
        if step is None:
            return False
        self.mfa_devices.put(account, serial, {**record, "step": step})
        return True


def _key_view(record: Record) -> dict[str, Any]:
    return {
        "UserName": record["user"],
        "AccessKeyId": record["id"],
        "Status": record["status"],
        "CreateDate": record["created"],
    }


def _device_view(record: Record) -> dict[str, Any]:
    return {"UserName": record["user"], "SerialNumber": record["serial"], "EnableDate": record["enabled"]}
