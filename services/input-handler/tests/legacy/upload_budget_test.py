from input_handler.legacy.upload_budget import UploadBudget


def test_room_is_what_is_not_held() -> None:
    room = UploadBudget(10, 10)
    room.reserve("a", 6)
    assert (room.can_reserve("b", 4), room.can_reserve("b", 5)) == (True, False)
    room.reserve("a", -6)
    assert room.can_reserve("b", 10)


def test_a_client_holds_only_so_much_of_it() -> None:
    room = UploadBudget(100, 10)
    room.reserve("a", 6)
    assert (room.can_reserve("a", 4), room.can_reserve("a", 5), room.can_reserve("b", 10)) == (
        True,
        False,
        True,
    )
    room.reserve("a", -6)
    assert room._clients == {}
