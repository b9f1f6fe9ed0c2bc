"""Leases: which sessions this engine may run.

Each session has at most one lease holder, because two engines that answer the same session would
number and store its turns twice. A lease is a hash in Redis with the engine's ordinal, an id of its
process, an expiry time and an epoch. An engine acquires the lease before a turn, renews it every
second, and releases it when the session has not been in use for 30 s. A lease that is not renewed
expires after 3 s; until then the legacy pipeline answers.

The epoch is a fencing token: it grows whenever another process becomes the lease holder. A process
that was stalled may have lost its lease without knowing. It therefore compares the epoch before it
stores a turn, and output-handlers reject a START with an older epoch. The epoch stays in Redis for
a day after the lease has expired.

While Redis is not available the engine continues with the epoch it knows. That is safe against
other engines, which need Redis to acquire the lease. After an outage or a loss of data, Redis may
hold no lease, an expired one with an older epoch, or an epoch that this process never received. The
next renewal repairs all three.

With a single engine (`shared` False) no lease is used. The handoff at shutdown is in `handoff.py`.
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
"""Lifetime of a lease in seconds: how long a session of a dead engine has only the fallback."""

ACQUIRE_TIMEOUT_S: Final = 0.15
"""Seconds to wait for Redis before a turn; input-handler waits 300 ms for ACCEPTED."""

RENEW_INTERVAL_S: Final = 1.0
IDLE_RELEASE_S: Final = 30.0
"""Seconds without a turn after which a lease is released.

The session's next turn may then go to the engine that routing prefers.
"""

# KEYS: the lease. ARGV: ordinal, process, lifetime in ms, epoch known to this process (0: none).
# Returns the ordinal of the lease holder and the epoch.
# An ordinal has one process at a time (StatefulSet), so a restarted engine acquires its leases at
# once, with a new epoch. The epoch is kept for a day, so that a stalled process can notice a newer
# one.
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
# KEYS: leases. ARGV: ordinal, process, lifetime in ms (0 releases them), then the epochs.
# Returns the indices of leases that another engine has acquired.
# After an outage or data loss, Redis may hold no lease, an older epoch, or an epoch of this process
# that it never received. These leases are written again with the epoch known here.
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
    """Leases of this engine: `acquire` before a turn, `holds` before a commit.

    `ordinal` is the engine's number. `shared`: whether there may be other engines; without them no
    request is sent. `clock` returns seconds.
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
        """Sessions whose lease this engine holds."""
        return list(self._leases)

    async def acquire(self, session_id: str) -> int:
        """Return the epoch under which this engine runs the session.

        Raises NotLeaseHolder, Draining.

        While Redis is not available, the known epoch stays valid and no error is raised.
        """
        if self.draining:
            raise Draining("this engine is shutting down; another engine takes over the session")
        if not self._shared:
            return self._single_engine_epoch
        now = self._clock()
        lease = self._leases.get(session_id)
        if lease is None or now >= lease.valid_until:
            lease = await self._acquire(session_id, lease)
        lease.used_at = now
        return lease.epoch

    async def holds(self, session_id: str, epoch: int) -> bool:
        """Whether a turn of this epoch may still be stored.

        False if another engine has acquired the lease meanwhile; true while Redis is not available.
        """
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
        """Release the lease, so that another engine can acquire it at once.

        `playing_turn`: the turn that still plays here, 0 for none. An unavailable Redis is logged.
        """
        lease = self._leases.pop(session_id, None)
        if lease is None:
            return

        if playing_turn:
            await self._active_playback.started(session_id, playing_turn)
        try:
            await self._extend({session_id: lease.epoch}, 0)
        except RedisUnavailable as error:
            # The lease expires after 3 s.
            log.info("lease_not_released", session=session_id, reason=str(error))

    async def playback_finished(self, session_id: str, turn: int) -> None:
        """Remove the record of a turn that played after the release.

        Its final text must have been published before.
        """
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
            # The next turn tries to acquire it again, and the next renewal writes it to Redis.
            lease = self._leases[session_id] = _Lease(known or time.time_ns() // 1_000_000, 0, now)
            return lease
        if ordinal != self._ordinal:
            self._leases.pop(session_id, None)
            raise NotLeaseHolder(f"engine {ordinal} holds the lease of this session", owner=ordinal)
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
        """Set the remaining lifetime of these leases to `ms`. Raises RedisUnavailable.

        Returns the sessions that another engine has acquired.
        """
        names = list(epochs)
        keys = [redis_names.session_lease(name) for name in names]
        values = (str(self._ordinal), self._process, str(ms), *map(str, epochs.values()))

        async def work(client: Redis) -> list[int]:
            return [int(at) for at in await client.eval(_RENEW, len(keys), *keys, *values)]

        return {names[at - 1] for at in await self._redis.call("owner", work)}
