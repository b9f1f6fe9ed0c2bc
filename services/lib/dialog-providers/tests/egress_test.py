import ipaddress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialog_providers.egress import EgressRefused, EgressRules, GuardedBackend, refusal_in
from dialog_providers.settings import ModelSettings

STRICT = EgressRules()


def resolving(rules: EgressRules, *addresses: str) -> EgressRules:
    async def found(_: str, __: int) -> list[str]:
        return list(addresses)

    return replace(rules, resolve=found)


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "169.254.1.1",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "2002:a9fe:a9fe::1",
        "fe80::1",
        "fe80::1%eth0",
        "fd00:ec2::254",
        "100.100.100.200",
        "168.63.129.16",
        "0.0.0.0",
        "::",
        "224.0.0.1",
        "255.255.255.255",
        "ff02::1",
    ],
)
async def test_metadata_and_link_local_addresses_are_never_reached(address: str) -> None:
    for rules in (
        STRICT,
        EgressRules.parse(["any"]),
        EgressRules.parse(["models.example", "0.0.0.0/0", "::/0"]),
    ):
        with pytest.raises(EgressRefused, match="never allowed"):
            await resolving(rules, address).addresses("models.example", 443)


@pytest.mark.parametrize(
    "name", ["metadata.google.internal", "METADATA.google.internal.", "metadata", "instance-data"]
)
async def test_nor_are_metadata_services_by_their_names(name: str) -> None:
    with pytest.raises(EgressRefused, match="never allowed"):
        await resolving(EgressRules.parse(["any"]), "93.184.216.34").addresses(name, 80)


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("127.0.0.1", "loopback"),
        ("127.9.9.9", "loopback"),
        ("::1", "loopback"),
        ("::ffff:127.0.0.1", "loopback"),
        ("::127.0.0.1", "loopback"),
        ("64:ff9b::7f00:1", "loopback"),
        ("10.0.0.1", "private"),
        ("172.16.3.4", "private"),
        ("192.168.1.1", "private"),
        ("::ffff:10.0.0.1", "private"),
        ("2002:c0a8:101::1", "private"),
        ("100.64.0.1", "private"),
        ("fd12:3456::1", "private"),
        ("fec0::1", "private"),
        ("198.18.0.1", "private"),
    ],
)
async def test_near_addresses_are_reached_by_the_setting_only(address: str, kind: str) -> None:
    with pytest.raises(
        EgressRefused, match=f"SESSION_EGRESS_ALLOW={kind} or models.example:80 allows it"
    ):
        await resolving(STRICT, address).addresses("models.example", 80)
    for allowed in (kind, "any", "*", "models.example", "models.example:80", "*.example"):
        assert await resolving(EgressRules.parse([allowed]), address).addresses(
            "models.example", 80
        ) == [address]
    other = "private" if kind == "loopback" else "loopback"
    for allowed in (other, "models.example:81", "example", "*.models.example"):
        with pytest.raises(EgressRefused):
            await resolving(EgressRules.parse([allowed]), address).addresses("models.example", 80)


async def test_networks_and_names_of_the_cluster() -> None:
    rules = EgressRules.parse(["10.1.0.0/16", "fd00::/8"])
    assert await resolving(rules, "10.1.2.3").addresses("x", 1)
    with pytest.raises(EgressRefused):
        await resolving(rules, "10.2.2.3").addresses("x", 1)
    cluster = EgressRules.parse(["cluster"])
    assert await resolving(cluster, "10.2.2.3").addresses("ollama.llm.svc", 1)
    assert await resolving(cluster, "10.2.2.3").addresses("ollama", 1)
    for name, address in (("evil.example", "10.2.2.3"), ("localhost", "127.0.0.1")):
        with pytest.raises(EgressRefused):
            await resolving(cluster, address).addresses(name, 1)


async def test_one_forbidden_address_of_several_is_enough() -> None:
    with pytest.raises(EgressRefused):
        await resolving(STRICT, "93.184.216.34", "127.0.0.1").addresses("models.example", 443)
    assert await resolving(STRICT, "93.184.216.34", "2606:2800:220:1::1").addresses(
        "models.example", 443
    )


@pytest.mark.parametrize(
    "host",
    ["2130706433", "0x7f000001", "0177.0.0.1", "127.1", "0", "localhost", "[::1]".strip("[]")],
)
async def test_however_this_machine_is_written_it_is_this_machine(host: str) -> None:
    """By the system's own resolver, which reads numbers in all these forms."""
    with pytest.raises(EgressRefused):
        await STRICT.addresses(host, 80)


@given(st.ip_addresses(v=4))
def test_an_address_means_the_same_in_every_clothing(address: ipaddress.IPv4Address) -> None:
    def verdict(text: str) -> bool:
        try:
            STRICT._check(ipaddress.ip_address(text), "x", 1)
        except EgressRefused:
            return False
        return True

    number = int(address)
    plain = verdict(str(address))
    for text in (f"::ffff:{address}", str(ipaddress.IPv6Address((0x64FF9B << 96) + number))):
        assert verdict(text) == plain
    assert plain == (
        address.is_global
        and not address.is_multicast
        and str(address) not in ("168.63.129.16", "192.0.0.192")
    )


@pytest.mark.parametrize("entry", ["", "http://x", "10.0.0.0/40", "a b", "x:port", "*.", ":80"])
def test_an_entry_that_says_nothing_is_refused_with_what_is_possible(entry: str) -> None:
    with pytest.raises(
        ValueError, match="SESSION_EGRESS_ALLOW: .* is none of loopback, private, cluster, any"
    ):
        EgressRules.parse([entry])


def test_only_what_a_session_chose_follows_rules() -> None:
    settings = ModelSettings(
        session_egress_allow="loopback, 10.0.0.0/8", openai_base_url="http://ollama:1/v1"
    )
    assert settings.egress_for(None) is None
    assert settings.egress_for("http://ollama:1/v1") is None
    rules = settings.egress_for("http://elsewhere/v1")
    assert rules is not None
    assert (set(rules.kinds), [str(network) for network in rules.networks]) == (
        {"loopback"},
        ["10.0.0.0/8"],
    )


class Backend:
    """Connects to nothing and remembers where it was asked to."""

    def __init__(self, *deaf: str) -> None:
        self.deaf, self.asked = deaf, [("", 0)][:0]

    async def connect_tcp(self, host: str, port: int, **_: Any) -> str:
        self.asked.append((host, port))
        if host in self.deaf:
            raise ConnectionError(host)
        return host


async def test_the_address_that_was_looked_at_is_the_one_that_is_connected_to() -> None:
    """A name that says something else a moment later (DNS rebinding) is not asked again."""
    answers = [["93.184.216.34", "93.184.216.35"], ["127.0.0.1"]]

    async def rebinding(_: str, __: int) -> list[str]:
        return answers.pop(0)

    backend = Backend("93.184.216.34")
    guarded = GuardedBackend(backend, replace(STRICT, resolve=rebinding))
    assert await guarded.connect_tcp("evil.example", 443, timeout=1) == "93.184.216.35"
    assert backend.asked == [("93.184.216.34", 443), ("93.184.216.35", 443)]
    with pytest.raises(EgressRefused):
        await guarded.connect_tcp("evil.example", 443)
    assert len(backend.asked) == 2
    with pytest.raises(EgressRefused):
        await guarded.connect_unix_socket("/var/run/docker.sock")


async def test_before_a_proxy_letters_and_what_is_known_count() -> None:
    for url in (
        "http://127.0.0.1/v1",
        "http://[::ffff:10.0.0.1]:80/",
        "http://metadata.google.internal/",
        "http://x:99999/",
    ):
        with pytest.raises(EgressRefused):
            await STRICT.check(url)
    with pytest.raises(EgressRefused):
        await resolving(STRICT, "10.0.0.1").check("https://inside.example/v1")

    async def unknown(_: str, __: int) -> list[str]:
        raise OSError("no such name")

    await replace(STRICT, resolve=unknown).check("https://outside.example/v1")


def test_a_refusal_is_found_among_causes() -> None:
    refusal = EgressRefused("x")
    outer = RuntimeError("outer")
    outer.__cause__ = ConnectionError("middle")
    outer.__cause__.__context__ = refusal
    assert refusal_in(outer) is refusal
    assert refusal_in(ValueError("x")) is None
