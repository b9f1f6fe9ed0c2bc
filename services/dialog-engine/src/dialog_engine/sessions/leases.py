"""Which sessions are this engine's: a lease each in Redis, with an epoch that tells a later owner from an earlier one.

An engine with nobody to share with asks nobody: every session is its own.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import uuid4

import structlog
from redis.asyncio import Redis

from dialog_contracts import redis_names
from dialog_engine.errors import Draining, NotLeaseHolder
from dialog_redis.active_playback import ActivePlayback
from dialog_redis.client import RedisClient, RedisUnavailable
from dialog_telemetry import metrics

log = structlog.get_logger("leases")

LEASE_TTL_S: Final = 3.0
"""How long a session waits for an engine that died; the legacy chain answers meanwhile."""

ACQUIRE_TIMEOUT_S: Final = 0.15
"""A Redis that answers later is as good as silent: input-handler waits 300 ms for ACCEPTED."""

RENEW_INTERVAL_S: Final = 1.0
IDLE_RELEASE_S: Final = 30.0
"""A lease that no turn has used for so long is given back: a session that was away goes home."""

# KEYS: owner. ARGV: ordinal, process, ms, the epoch that this process was in. An ordinal has one process at a time
# (StatefulSet): its next one takes over at once. The epoch outlives the lease, so that a sleeper that wakes up finds out.
# Gives the ordinal of whoever has the session now, and the epoch.
_ACQUIRE: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local ordinal, epoch, process, till = unpack(redis.call('HMGET', KEYS[1], 'ordinal', 'epoch', 'process', 'till'))
if ordinal and ordinal ~= ARGV[1] and tonumber(till) > now then return {tonumber(ordinal), tonumber(epoch)} end
if ordinal ~= ARGV[1] or process ~= ARGV[2] then epoch = math.max(now, tonumber(epoch or '0') + 1) end
epoch = string.format('%.0f', math.max(tonumber(epoch), tonumber(ARGV[4])))
local till = string.format('%.0f', now + ARGV[3])
redis.call('HSET', KEYS[1], 'ordinal', ARGV[1], 'epoch', epoch, 'process', ARGV[2], 'till', till)
redis.call('EXPIRE', KEYS[1], 86400)
return {tonumber(ARGV[1]), tonumber(epoch)}
"""
# KEYS: owners. ARGV: ordinal, process, ms (0 gives them back), then the epochs. Gives the places of those that are another engine's by
# now. A Redis that was silent, or lost its newest data, knows an earlier epoch of nobody's, none, or one that we were never told.
_RENEW: Final = """
local time = redis.call('TIME')
local now, lost = time[1] * 1000 + math.floor(time[2] / 1000), {}
local new = string.format('%.0f', now + ARGV[3])
for at, key in ipairs(KEYS) do
  local mine = ARGV[at + 3]
  local ordinal, epoch, process, till = unpack(redis.call('HMGET', key, 'ordinal', 'epoch', 'process', 'till'))
  local free = not epoch or ordinal == ARGV[1] or tonumber(till) <= now
  if process == ARGV[2] or (free and tonumber(epoch or '0') <= tonumber(mine)) then
    redis.call('HSET', key, 'ordinal', ARGV[1], 'epoch', mine, 'process', ARGV[2], 'till', new)
    redis.call('EXPIRE', key, 86400)
  else
    lost[#lost + 1] = at
  end
end
return lost
"""


@dataclass(slots=True)
class _Lease:
    epoch: int
    valid_until: float
    used_at: float


class SessionLeases:
    """`acquire` before a turn, `holds` before a commit; `renew_forever` keeps the leases.

    `shared`: whether there may be other engines. Without them no lookup is made.
    """

    def __init__(
        self,
        redis: RedisClient,
        *,
        ordinal: int,
        shared: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._redis, self._ordinal, self._shared, self._clock = redis, ordinal, shared, clock
        self._active_playback = ActivePlayback(redis)
        self._process = uuid4().hex[:12]
        self._single_engine_epoch = time.time_ns() // 1_000_000
        self._leases: dict[str, _Lease] = {}
        self.draining = False

    @property
    def session_ids(self) -> Sequence[str]:
        """The sessions with a lease."""
        return list(self._leases)

    async def acquire(self, session_id: str) -> int:
        """The epoch in which this engine has the session. Raises NotOwner, Draining.

        With Redis silent the engine goes on in the epoch it knows: whoever else could take the session needs Redis too.
        """
        if self.draining:
            raise Draining("this engine ends; another one takes the session")
        if not self._shared:
            return self._single_engine_epoch
        now = self._clock()
        lease = self._leases.get(session_id)
        if lease is None or now >= lease.valid_until:
            lease = await self._acquire(session_id, lease)
        lease.used_at = now
        return lease.epoch

    async def holds(self, session_id: str, epoch: int) -> bool:
        """Whether what was begun in this epoch may be stored: a process that was stopped for a while may have lost the session."""
        if not self._shared:
            return True
        lease = self._leases.get(session_id)
        if lease is not None and lease.epoch == epoch and self._clock() < lease.valid_until:
            return True
        key = redis_names.session_lease(session_id)

        async def work(client: Redis) -> int:
            return int(await client.hget(key, "epoch") or 0)

        try:
            return await self._redis.call("owner", work) <= epoch
        except RedisUnavailable:
            return True

    async def release(self, session_id: str, *, playing_turn: int = 0) -> None:
        """Somebody else may take the session from now on; `sounding`: the turn that is still spoken here."""
        lease = self._leases.pop(session_id, None)
        if lease is None:
            return

        if playing_turn:
            await self._active_playback.started(session_id, playing_turn)
        try:
            await self._extend({session_id: lease.epoch}, 0)
        except RedisUnavailable as error:
            # It expires by itself.
            log.info("lease_not_released", session=session_id, reason=str(error))

    async def playback_finished(self, session_id: str, turn: int) -> None:
        """A turn that was given away while it was spoken is over, and its history is where the next owner reads it."""
        if self._shared:
            await self._active_playback.finished(session_id, turn)

    async def renew_forever(
        self, in_use: Callable[[str], bool], on_lost: Callable[[str], None]
    ) -> None:
        """Renew the leases of sessions in use, and release idle ones, until cancelled.

        `on_lost` is called with each session whose lease another engine has acquired.
        """
        while True:
            await asyncio.sleep(RENEW_INTERVAL_S)
            now = self._clock()
            for session_id, lease in list(self._leases.items()):
                if in_use(session_id):
                    lease.used_at = now
                elif now - lease.used_at > IDLE_RELEASE_S:
                    await self.release(session_id)
            for session_id in await self._renew():
                on_lost(session_id)

    async def _acquire(self, session_id: str, before: _Lease | None) -> _Lease:
        now, key = self._clock(), redis_names.session_lease(session_id)
        known = before.epoch if before is not None else 0
        arguments = (str(self._ordinal), self._process, str(int(LEASE_TTL_S * 1000)), str(known))

        async def work(client: Redis) -> tuple[int, int]:
            ordinal, epoch = await client.eval(_ACQUIRE, 1, key, *arguments)
            return int(ordinal), int(epoch)

        try:
            ordinal, epoch = await self._redis.call_within("owner", work, ACQUIRE_TIMEOUT_S)
        except RedisUnavailable as error:
            log.warning("lease_uncertain", session=session_id, reason=str(error))
            # Asked for again with the next turn, and told with the next renewal.
            lease = self._leases[session_id] = _Lease(known or time.time_ns() // 1_000_000, 0, now)
            return lease
        if ordinal != self._ordinal:
            self._leases.pop(session_id, None)
            raise NotLeaseHolder(f"engine {ordinal} has this session", owner=ordinal)
        if before is None or before.epoch != epoch:
            log.info("lease_acquired", session=session_id, epoch=epoch)
        lease = self._leases[session_id] = _Lease(epoch, now + LEASE_TTL_S, now)
        return lease

    async def _renew(self) -> list[str]:
        metrics.SESSIONS_OWNED.set(len(self._leases))
        if not self._leases:
            return []
        now, epochs = self._clock(), {name: lease.epoch for name, lease in self._leases.items()}
        try:
            gone = await self._extend(epochs, int(LEASE_TTL_S * 1000))
        except RedisUnavailable as error:
            log.warning("leases_not_renewed", leases=len(epochs), reason=str(error))
            return []
        lost = []
        for name, epoch in epochs.items():
            lease = self._leases.get(name)
            if lease is None or lease.epoch != epoch:
                continue
            if name in gone:
                del self._leases[name]
                log.warning("lease_lost", session=name)
                metrics.SESSIONS_LOST.inc()
                lost.append(name)
            else:
                lease.valid_until = now + LEASE_TTL_S
        return lost

    async def _extend(self, epochs: dict[str, int], ms: int) -> set[str]:
        """Set how long these leases run from now; gives those that are another engine's by now. Raises RedisDown."""
        names = list(epochs)
        keys = [redis_names.session_lease(name) for name in names]
        values = (str(self._ordinal), self._process, str(ms), *map(str, epochs.values()))

        async def work(client: Redis) -> list[int]:
            return [int(at) for at in await client.eval(_RENEW, len(keys), *keys, *values)]

        return {names[at - 1] for at in await self._redis.call("owner", work)}
