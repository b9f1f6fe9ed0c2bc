from input_handler.upload_room import UploadRoom


def test_room_is_what_is_not_held() -> None:
    room = UploadRoom(10)
    room.enter(6)
    assert (room.has_room(4), room.has_room(5)) == (True, False)
    room.leave(6)
    assert room.has_room(10)
