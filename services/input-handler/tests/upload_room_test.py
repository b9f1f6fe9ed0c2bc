from input_handler.upload_room import UploadRoom


def test_room_is_what_is_not_held() -> None:
    room = UploadRoom(10, 10)
    room.enter("a", 6)
    assert (room.has_room("b", 4), room.has_room("b", 5)) == (True, False)
    room.enter("a", -6)
    assert room.has_room("b", 10)


def test_a_client_holds_only_so_much_of_it() -> None:
    room = UploadRoom(100, 10)
    room.enter("a", 6)
    assert (room.has_room("a", 4), room.has_room("a", 5), room.has_room("b", 10)) == (
        True,
        False,
        True,
    )
    room.enter("a", -6)
    assert room._clients == {}
