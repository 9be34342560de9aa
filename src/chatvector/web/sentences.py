# SPDX-License-Identifier: Apache-2.0
"""What goes wrong, in the visitor's language.

The page's own errors are whole sentences here. What the library says is English; on another page a sentence says before
it what kind of thing went wrong, and the exact line follows.
"""

from __future__ import annotations

import html
from dataclasses import dataclass

from chatvector.errors import (
    ChatVectorError,
    HubError,
    InputError,
    MissingExtra,
    NotEnoughSpace,
    UsageError,
    VerificationFailed,
)
from chatvector.web.words import EN, KO, ZH_HANT, Words


@dataclass(frozen=True)
class Sentences:
    """All sentences of one language; `{…}` is filled in. Those of `of_*` stand before a line of the library."""

    empty_message: str
    still_answering: str
    still_writing: str
    settings_missing: str
    settings_range: str
    no_vector: str
    no_scale: str
    no_number: str
    not_a_scale: str
    beyond_slider: str
    not_here: str
    server_ended: str
    unknown_language: str
    not_a_count: str
    nothing_to_sweep: str
    no_output: str
    no_home: str
    unexpected: str
    of_usage: str
    of_input: str
    of_verification: str
    of_space: str
    of_network: str
    of_extra: str
    of_other: str


BY_TAG = {
    EN.tag: Sentences(
        empty_message="an empty message: nothing was asked",
        still_answering="the last message is still being answered: stop it, or wait",
        still_writing="a reply is being written: stop it first",
        settings_missing="temperature, top-p, seed and longest reply each need a number",
        settings_range="temperature is 0 or more, top-p above 0 up to 1; seed (0 …) and reply (1 …) are whole numbers",
        no_vector="no vector is loaded: start with TARGET --vector VEC, or TARGET --base BASE --chat CHAT",
        no_scale="no scale: write a number, such as 0.7, or exceptions, such as 0.7 attention=0.5 0-3=1",
        no_number="no number stands beside the slider: write one, such as 0.8",
        not_a_scale="{value} is no scale; a scale is any finite number, such as 0.8",
        beyond_slider="{value}: sliders go from {lowest} to {highest}; the line under Scale by role takes any number",
        not_here="the server was started again, or has forgotten this page and its scale: look at Chat first",
        server_ended="the server was ended, and the reply with it; once it runs again, a new conversation begins",
        unknown_language="unknown language {value}: choose from {known}",
        not_a_count="{value} is no number of items: write 1, 2 …, or 0 for all of them",
        nothing_to_sweep="a sweep moves a vector, and none is loaded",
        no_output="where to? name a new directory, such as ~/models/my-merge",
        no_home="{value}: there is no such user; write the path without ~",
        unexpected="unexpected ({kind}: {text}); the terminal that runs the page says where",
        of_usage="That cannot be done as it was asked.",
        of_input="A file that is needed is missing, damaged, or does not fit.",
        of_verification="What was made is not what it should be.",
        of_space="There is not enough disk or memory.",
        of_network="The network or the hub did not give what was asked for.",
        of_extra="A part that this needs is not installed.",
        of_other="That went wrong.",
    ),
    KO.tag: Sentences(
        empty_message="빈 메시지입니다. 아무것도 묻지 않았습니다.",
        still_answering="지난 메시지에 아직 답하는 중입니다. 중지하거나 기다려 주세요.",
        still_writing="답변을 쓰는 중입니다. 먼저 중지해 주세요.",
        settings_missing="온도, Top-p, 시드, 답변의 최대 길이에 각각 숫자를 넣어 주세요.",
        settings_range="온도는 0 이상, Top-p는 0 초과 1 이하, 시드는 0 이상, 길이는 1 이상의 정수여야 합니다.",
        no_vector="불러온 벡터가 없습니다. TARGET --vector VEC 또는 TARGET --base BASE --chat CHAT으로 시작하세요.",
        no_scale="배율이 없습니다. 0.7 같은 숫자나 0.7 attention=0.5 0-3=1 같은 예외를 써 주세요.",
        no_number="슬라이더 옆에 숫자가 없습니다. 0.8 같은 숫자를 써 주세요.",
        not_a_scale="{value}은(는) 배율이 아닙니다. 배율은 0.8 같은 유한한 숫자입니다.",
        beyond_slider="{value}: 슬라이더는 {lowest}~{highest}입니다. 역할별 배율의 줄에는 어떤 숫자든 됩니다.",
        not_here="서버가 다시 시작되었거나 이 페이지와 배율을 잊었습니다. 먼저 대화 탭을 보세요.",
        server_ended="서버가 종료되어 답변도 끝났습니다. 서버가 다시 켜지면 새 대화로 시작합니다.",
        unknown_language="{value}은(는) 모르는 언어입니다. {known} 중에서 고르세요.",
        not_a_count="{value}은(는) 문항 수가 아닙니다. 1, 2 …를 쓰거나, 전부면 0을 쓰세요.",
        nothing_to_sweep="스윕은 벡터를 움직이는데, 불러온 벡터가 없습니다.",
        no_output="어디에 저장할까요? ~/models/my-merge 같은 새 디렉터리를 써 주세요.",
        no_home="{value}: 그런 사용자가 없습니다. ~ 없이 경로를 써 주세요.",
        unexpected="예상하지 못한 오류입니다({kind}: {text}). 이 페이지를 실행하는 터미널에 자세한 내용이 있습니다.",
        of_usage="요청한 대로 할 수 없습니다.",
        of_input="필요한 파일이 없거나, 손상되었거나, 서로 맞지 않습니다.",
        of_verification="만들어진 결과가 있어야 할 것과 다릅니다.",
        of_space="디스크나 메모리가 부족합니다.",
        of_network="네트워크나 허브에서 요청한 것을 받지 못했습니다.",
        of_extra="필요한 부분이 설치되어 있지 않습니다.",
        of_other="문제가 생겼습니다.",
    ),
    ZH_HANT.tag: Sentences(
        empty_message="訊息是空的：沒有問任何問題。",
        still_answering="上一則訊息還在回答：請停止它，或稍候。",
        still_writing="正在寫回覆：請先停止。",
        settings_missing="溫度、Top-p、隨機種子和回覆長度上限都需要一個數字。",
        settings_range="溫度須為 0 以上，Top-p 大於 0 且不超過 1，種子為 0 以上、長度為 1 以上的整數。",
        no_vector="沒有載入向量：請以 TARGET --vector VEC，或 TARGET --base BASE --chat CHAT 啟動。",
        no_scale="沒有比例：請寫一個數字，例如 0.7，或加上例外，例如 0.7 attention=0.5 0-3=1。",
        no_number="滑桿旁沒有數字：請寫一個數字，例如 0.8。",
        not_a_scale="{value} 不是比例；比例是任何有限的數字，例如 0.8。",
        beyond_slider="{value}：滑桿的範圍是 {lowest} 到 {highest}；各部分的比例下方的那一行可填任何數字。",
        not_here="伺服器已重新啟動，或已忘記本頁面：比例與顯示的不同。請先開啟「對話」。",
        server_ended="伺服器已結束，回覆也隨之中斷；伺服器再次啟動後會開始新的對話。",
        unknown_language="不認得語言 {value}：請從 {known} 中選擇。",
        not_a_count="{value} 不是題數：請寫 1、2 …，或寫 0 表示全部。",
        nothing_to_sweep="掃描要移動向量，但沒有載入向量。",
        no_output="要寫到哪裡？請寫一個新目錄，例如 ~/models/my-merge。",
        no_home="{value}：沒有這個使用者；請寫不含 ~ 的路徑。",
        unexpected="發生未預期的錯誤（{kind}：{text}）；執行本頁面的終端機有詳細訊息。",
        of_usage="無法照要求執行。",
        of_input="需要的檔案不存在、已損壞，或彼此不符。",
        of_verification="產生的結果與應有的不同。",
        of_space="磁碟或記憶體不足。",
        of_network="網路或模型庫沒有給出所要的資料。",
        of_extra="缺少所需的元件。",
        of_other="發生問題。",
    ),
}

_KINDS: tuple[tuple[type[ChatVectorError], str], ...] = (
    (UsageError, "of_usage"),
    (InputError, "of_input"),
    (VerificationFailed, "of_verification"),
    (NotEnoughSpace, "of_space"),
    (HubError, "of_network"),
    (MissingExtra, "of_extra"),
)


class PageError(UsageError):
    """What a visitor did cannot be done. `key` names the sentence, `values` fill it in. Its text is English."""

    def __init__(self, key: str, **values: object) -> None:
        super().__init__(getattr(BY_TAG[EN.tag], key).format(**values))
        self.key, self.values = key, values


def told(error: Exception, words: Words) -> str:
    """What went wrong, as HTML: in the visitor's language, and the library's own line where there is one."""
    own = BY_TAG[words.tag]
    if isinstance(error, PageError):
        return html.escape(getattr(own, error.key).format(**error.values))
    if not isinstance(error, ChatVectorError):
        return html.escape(own.unexpected.format(kind=type(error).__name__, text=str(error)[:200]))
    line = html.escape(str(error))
    if words is EN:
        return line
    lead = getattr(own, next((key for kind, key in _KINDS if isinstance(error, kind)), "of_other"))
    return f'{html.escape(lead)} <span lang="en">{line}</span>'
