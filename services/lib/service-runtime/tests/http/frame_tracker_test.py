from itertools import accumulate, pairwise

from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Close, Frame, Opcode

from service_runtime.http.frame_tracker import FrameBoundaryTracker

LENGTHS = st.sampled_from((0, 1, 125, 126, 127, 300, 65_535, 65_536))
DATA, CONTROL = (
    st.sampled_from((Opcode.TEXT, Opcode.BINARY)),
    st.sampled_from((Opcode.PING, Opcode.PONG)),
)
FRAMES = st.builds(
    lambda opcode, length, fin: Frame(opcode, b"x" * length, fin), DATA, LENGTHS, st.booleans()
)
CONTROLS = st.builds(
    lambda opcode, length: Frame(opcode, b"y" * length), CONTROL, st.integers(0, 125)
)
GOODBYE = Frame(Opcode.CLOSE, Close(1000, "").serialize())


@given(
    st.lists(FRAMES | CONTROLS, max_size=6),
    st.booleans(),
    st.lists(st.integers(0, 200_000), max_size=8),
)
def test_cut_anywhere_it_knows_where_frames_end(
    frames: list[Frame], mask: bool, cuts: list[int]
) -> None:
    written = [frame.serialize(mask=mask) for frame in frames]
    stream, ends = b"".join(written), {0, *accumulate(len(one) for one in written)}
    cursor = FrameBoundaryTracker()
    for start, end in pairwise(
        sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    ):
        cursor.feed(stream[start:end])
        assert cursor.at_boundary is (end in ends)
    assert cursor.largest == max((len(frame.data) for frame in frames), default=0)
    assert not cursor.closed


@given(st.lists(FRAMES, max_size=3), st.booleans())
def test_byte_by_byte_it_notices_the_goodbye(frames: list[Frame], mask: bool) -> None:
    cursor = FrameBoundaryTracker()
    for frame in frames[:2]:
        cursor.feed(frame.serialize(mask=mask))
    for byte in GOODBYE.serialize(mask=mask):
        cursor.feed(bytes([byte]))
    assert cursor.closed
    assert cursor.at_boundary
