import pytest
from pydantic import ValidationError

from dialog_contracts.input_socket import (
    MicStart,
    SayText,
    TaskAssigned,
    UploadFrame,
    UploadProcessed,
)


def test_the_older_dialect_is_spelt_as_it_was() -> None:
    assert (
        TaskAssigned(task_id="t").to_json()
        == '{"type":"system","action":"task_id_assigned","task_id":"t"}'
    )
    assert (
        UploadProcessed(status="queued", task_id="t").to_json()
        == '{"type":"system","action":"upload_processed","status":"queued","task_id":"t"}'
    )
    assert UploadFrame.from_json('{"action":"upload_complete"}').type is None
    assert UploadFrame.from_json('{"type":"text","chunk_id":0,"action":"data_chunk"}').chunk_id == 0


def test_inline_text_has_the_limit_of_content() -> None:
    inline = '{"type":"text","chunk_id":0,"action":"data_chunk","text":"%s"}'
    assert UploadFrame.from_json(inline % ("玩" * 4000)).text == "玩" * 4000
    with pytest.raises(ValidationError):
        UploadFrame.from_json(inline % ("玩" * 4001))


def test_a_message_needs_content_and_a_sound_traceparent() -> None:
    assert SayText.from_json('{"type":"TEXT","content":"你好"}').meta.request_id is None
    for wrong in (
        '{"type":"TEXT"}',
        '{"type":"TEXT","content":"x","traceparent":"abc"}',
        '{"type":"SONG","content":"x"}',
    ):
        with pytest.raises(ValidationError):
            SayText.from_json(wrong)


@pytest.mark.parametrize(
    "fields",
    [
        '"format":"mp3","sampleRate":16000',
        '"format":"opus","sampleRate":7999',
        '"format":"opus","sampleRate":48001',
    ],
)
def test_a_microphone_says_what_it_sends(fields: str) -> None:
    assert (
        MicStart.from_json(
            '{"type":"MIC_START","sessionId":"a","format":"opus","sampleRate":48000}'
        ).frame_ms
        == 20
    )
    with pytest.raises(ValidationError):
        MicStart.from_json(f'{{"type":"MIC_START","sessionId":"a",{fields}}}')
