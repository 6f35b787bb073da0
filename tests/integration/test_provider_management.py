"""Providers are managed over the clients' door of a real server."""

from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2

from hodei.sdk import AsyncClient, ProviderSettings
from hodei.server.config import LocalProviderConfig
from hodei.wire import provider_management_pb2 as pb
from support.door import Site, serving

NO_LOCAL_WORKERS = LocalProviderConfig(max_workers=0, warm_workers=0)
LOCAL = pb.PROVIDER_TYPE_LOCAL


def violations(error: grpc.aio.AioRpcError) -> dict[str, str]:
    metadata: Any = error.trailing_metadata()
    status = status_pb2.Status.FromString(dict(metadata)["grpc-status-details-bin"])
    for detail in status.details:
        found = error_details_pb2.BadRequest()
        if detail.Unpack(found):
            return {each.field: each.description for each in found.field_violations}
    return {}


async def refused(call: Awaitable[object]) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value


async def added(site: Site, name: str = "box", **fields: object) -> pb.ProviderConfig:
    request = pb.RegisterProviderRequest(name=name, **({"provider_type": LOCAL} | fields))
    return (await site.providers.RegisterProvider(request)).provider


async def test_a_provider_lives_its_life_over_the_calls_of_the_original(tmp_path: Path) -> None:
    async with serving(tmp_path, local=NO_LOCAL_WORKERS) as site:
        options = pb.ProviderTypeConfig(options={"slots": "2", "labels": "zone=a"})
        box = await added(
            site, type_config=options, priority=3, max_workers=5, tags=["x"], metadata={"of": "ops"}
        )
        assert (box.id, box.name, box.provider_type) == ("box", "box", LOCAL)
        assert (box.status, box.priority, box.max_workers) == (pb.PROVIDER_STATUS_ACTIVE, 3, 5)
        assert (list(box.tags), dict(box.metadata)) == (["x"], {"of": "ops"})
        assert box.type_config.options["max_workers"] == "5"
        assert dict(box.capabilities.labels) == {"hodei.region": "local", "zone": "a"}
        assert box.created_at == box.updated_at
        assert (box.is_builtin, box.version) == (False, 1)
        named = pb.GetProviderByNameRequest(name="box")
        assert (await site.providers.GetProviderByName(named)).provider == box
        listed = (await site.providers.ListProviders(pb.ListProvidersRequest())).providers
        assert [each.name for each in listed] == ["box", "local"]

        # What was read is sent back with a change, as clients of the original do.
        box.max_workers = 7
        box.priority = -1
        box.type_config.options["slots"] = "3"
        update = pb.UpdateProviderRequest(provider=box)
        changed = (await site.providers.UpdateProvider(update)).provider
        assert (changed.max_workers, changed.priority, changed.version) == (7, -1, 2)
        assert dict(changed.type_config.options) == {
            "slots": "3",
            "labels": "zone=a",
            "max_workers": "7",
        }
        error = await refused(site.providers.UpdateProvider(update))
        assert error.code() is grpc.StatusCode.FAILED_PRECONDITION

        off = await site.providers.DisableProvider(pb.DisableProviderRequest(provider_id="box"))
        assert off.provider.status == pb.PROVIDER_STATUS_DISABLED
        stats = await site.providers.GetProviderStats(pb.GetProviderStatsRequest())
        assert (stats.total_providers, stats.enabled_providers) == (2, 1)
        assert stats.providers_with_capacity == stats.total_max_workers == 0
        on = await site.providers.EnableProvider(pb.EnableProviderRequest(provider_id="box"))
        assert on.provider.status == pb.PROVIDER_STATUS_ACTIVE
        stats = await site.providers.GetProviderStats(pb.GetProviderStatsRequest())
        assert (stats.providers_with_capacity, stats.total_max_workers) == (1, 7)

        told = await site.providers.TestProvider(pb.TestProviderRequest(provider_id="box"))
        assert told.problem == ""
        assert {"architecture", "cpus", "memory"} <= {each.name for each in told.facts}

        gone = await site.providers.DeleteProvider(pb.DeleteProviderRequest(provider_id="box"))
        assert (gone.success, gone.workers_left) == (True, 0)
        error = await refused(
            site.providers.DeleteProvider(pb.DeleteProviderRequest(provider_id="box"))
        )
        assert error.code() is grpc.StatusCode.NOT_FOUND


async def test_all_that_is_wrong_is_told_at_once_by_name(tmp_path: Path) -> None:
    async with serving(tmp_path, local=NO_LOCAL_WORKERS) as site:
        options = {"slotss": "1", "slots": "0", "idle_timeout": "soon", "agent_command": "sh"}
        error = await refused(
            added(site, "Box", type_config=pb.ProviderTypeConfig(options=options))
        )
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert set(violations(error)) == {
            "name",
            "options.slotss",
            "options.idle_timeout",
            "options.agent_command",
        }
        assert "did you mean slots?" in violations(error)["options.slotss"]
        error = await refused(
            added(site, type_config=pb.ProviderTypeConfig(options={"slots": "0"}))
        )
        assert violations(error) == {"options.slots": "0 is not from 1 to 256"}
        error = await refused(
            added(site, priority=1001, cost_per_hour=-1, tags=[""], metadata={"a": "b\n"})
        )
        assert set(violations(error)) == {"priority", "cost_per_hour", "tags[0]", "metadata.a"}
        for kind in (pb.PROVIDER_TYPE_KUBERNETES, pb.PROVIDER_TYPE_UNSPECIFIED, 77):
            error = await refused(added(site, provider_type=kind))
            assert set(violations(error)) == {"provider_type"}
        kubernetes = pb.ProviderTypeConfig(kubernetes=pb.KubernetesConfig(namespace="x"))
        error = await refused(added(site, type_config=kubernetes))
        assert set(violations(error)) == {"type_config.kubernetes"}


async def test_options_of_docker_come_by_field_or_by_name_and_never_with_a_password(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path, local=NO_LOCAL_WORKERS) as site:
        docker = pb.DockerConfig(
            socket_path="/nowhere/docker.sock", default_image="debian:12", labels={"a": "b"}
        )
        by_field = pb.ProviderTypeConfig(docker=docker, options={"memory": "64Mi"})
        kind = {"provider_type": pb.PROVIDER_TYPE_DOCKER}
        box = await added(site, type_config=by_field, disabled=True, **kind)
        assert box.type_config.docker.socket_path == "unix:///nowhere/docker.sock"
        assert box.type_config.docker.default_image == "debian:12"
        assert dict(box.type_config.options) == {"memory": "64Mi", "labels": "a=b"}

        error = await refused(
            site.providers.EnableProvider(pb.EnableProviderRequest(provider_id="box"))
        )
        assert error.code() is grpc.StatusCode.FAILED_PRECONDITION
        assert "/nowhere/docker.sock is not there" in (error.details() or "")
        told = await site.providers.TestProvider(pb.TestProviderRequest(provider_id="box"))
        assert "/nowhere/docker.sock is not there" in told.problem

        docker.dns_servers.extend(["10.0.0.53", "fd00::53"])
        docker.labels["b"] = "c,d=e"
        twice = pb.ProviderTypeConfig(docker=docker, options={"image": "other"})
        error = await refused(added(site, "second", type_config=twice, **kind))
        assert set(violations(error)) == {"type_config.docker.labels['b']", "options.image"}
        del docker.labels["b"]
        by_field = pb.ProviderTypeConfig(docker=docker)
        second = await added(site, "second", type_config=by_field, disabled=True, **kind)
        assert list(second.type_config.docker.dns_servers) == ["10.0.0.53", "fd00::53"]
        second.type_config.docker.dns_servers.append("dns.example.org")
        error = await refused(
            site.providers.UpdateProvider(pb.UpdateProviderRequest(provider=second))
        )
        assert violations(error) == {
            "options.dns_servers": "'dns.example.org' is no address, such as 10.0.0.53"
        }
        for host in ("ssh://me:secret@box", "box:2375", "tcp//box"):
            odd = pb.ProviderTypeConfig(options={"host": host})
            error = await refused(added(site, "second", type_config=odd, **kind))
            assert "ssh -L" in violations(error)["options.host"]
            assert "secret" not in (error.details() or "")
        secret = pb.ProviderTypeConfig(options={"host": "tcp://me:secret@box:2376"})
        error = await refused(added(site, "second", type_config=secret, **kind))
        assert set(violations(error)) == {"options.host"}
        assert "secret" not in (error.details() or "")


async def test_which_jobs_a_provider_takes_is_said_by_the_originals_fields_or_by_options(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path, local=NO_LOCAL_WORKERS) as site:
        options = {"labels": "zone=a", "region": "eu-west", "allowed_regions": "eu-north"}
        box = await added(site, type_config=pb.ProviderTypeConfig(options=options))
        assert list(box.allowed_regions) == ["eu-north"]
        assert list(box.capabilities.regions) == ["eu-west", "eu-north"]

        box.allowed_regions.append("eu south")
        box.required_labels["env"] = "prod"
        box.annotations["compliance"] = "soc2"
        update = pb.UpdateProviderRequest(provider=box)
        box = (await site.providers.UpdateProvider(update)).provider
        assert list(box.allowed_regions) == ["eu-north", "eu south"]
        assert (dict(box.required_labels), dict(box.annotations)) == (
            {"env": "prod"},
            {"compliance": "soc2"},
        )
        assert dict(box.capabilities.labels) == {
            "hodei.region": "eu-west",
            "zone": "a",
            "env": "prod",
            "compliance": "soc2",
        }

        # Unchanged fields leave it to the options of their names, and changed ones take them out.
        box.type_config.options["annotations"] = "compliance=iso"
        del box.allowed_regions[:]
        update = pb.UpdateProviderRequest(provider=box)
        box = (await site.providers.UpdateProvider(update)).provider
        assert dict(box.annotations) == {"compliance": "iso"}
        assert "allowed_regions" not in box.type_config.options

        box.annotations["compliance"] = "hipaa"
        box.type_config.options["annotations"] = "compliance=soc2"
        box.required_labels["b"] = "c,d"
        error = await refused(site.providers.UpdateProvider(pb.UpdateProviderRequest(provider=box)))
        assert set(violations(error)) == {"options.annotations", "required_labels['b']"}
        wrong = {"labels": "env=a", "required_labels": "env=b,=c", "allowed_regions": "''"}
        error = await refused(added(site, "odd", type_config=pb.ProviderTypeConfig(options=wrong)))
        assert set(violations(error)) == {"options.required_labels", "options.allowed_regions"}
        assert "env=b, and labels says 'a'" in (error.details() or "")


async def test_a_change_by_the_sdk_leaves_what_it_does_not_name(tmp_path: Path) -> None:
    async with (
        serving(tmp_path, local=NO_LOCAL_WORKERS) as site,
        AsyncClient(site.addresses.grpc) as client,
    ):
        options = {"allowed_regions": "eu-north", "required_labels": "env=prod"}
        await client.add_provider("box", type="local", options=options)
        box = await client.update_provider("box", settings=ProviderSettings(priority=3))
        assert (box.allowed_regions, box.required_labels) == (("eu-north",), {"env": "prod"})
        named = {"allowed_regions": None, "required_labels": "env=test"}
        box = await client.update_provider("box", options=named)
        assert (box.allowed_regions, box.required_labels) == ((), {"env": "test"})


async def test_the_settings_own_providers_are_switched_and_ordered_but_not_changed(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path, local=NO_LOCAL_WORKERS) as site:
        named = pb.GetProviderRequest(provider_id="local")
        local = (await site.providers.GetProvider(named)).provider
        assert (local.is_builtin, local.version, local.created_at) == (True, 0, "")
        local.priority = 5
        update = pb.UpdateProviderRequest(provider=local)
        assert (await site.providers.UpdateProvider(update)).provider.priority == 5
        local.version = 0
        local.max_workers = 9
        error = await refused(
            site.providers.UpdateProvider(pb.UpdateProviderRequest(provider=local))
        )
        assert set(violations(error)) == {"options"}
        error = await refused(
            site.providers.DeleteProvider(pb.DeleteProviderRequest(provider_id="local"))
        )
        assert "local.enabled" in (error.details() or "")
