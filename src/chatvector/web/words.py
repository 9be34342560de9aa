# SPDX-License-Identifier: Apache-2.0
"""What the page says, in English, Korean and Traditional Chinese; and which of them a browser asks for.

What goes wrong is in `sentences`, what pictures say in `plot_words`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Words:
    """All texts of one language; `{…}` is filled in. Field by field what stands where.

    Attributes:
        tag: the language, as in HTML and in the page's address.
        own_name: what its speakers call it.
    """

    tag: str
    own_name: str
    languages: str
    alone: str
    pair: str
    chat: str
    before: str
    after: str
    message: str
    ask: str
    send: str
    stop: str
    again: str
    samples: str
    scale: str
    scale_hint: str
    by_role: str
    rules: str
    rules_hint: str
    moved: str
    settings: str
    system: str
    temperature: str
    top_p: str
    seed: str
    limit: str
    thinking: str
    thought: str
    at_scale: str
    tokens: str
    in_turn: str
    was_stopped: str
    was_cut: str
    was_filled: str
    context_full: str
    template_refuses: str
    restarted: str
    vector: str
    look: str
    sizes: str
    cosines: str
    lineage: str
    no_parents: str
    verdict_fine: str
    verdict_warning: str
    verdict_refused: str
    evaluate: str
    suite: str
    language: str
    items: str
    items_hint: str
    run_suite: str
    scales: str
    scales_hint: str
    run_sweep: str
    cancel: str
    cancelled: str
    progress: str
    waiting: str
    kept_report: str
    report: str
    recipe: str
    command: str
    yaml: str
    download: str
    output: str
    output_hint: str
    write: str
    written: str


EN = Words(
    tag="en",
    own_name="English",
    languages="Language",
    alone="Talk to {name}.",
    pair="{target} before and after the chat vector, side by side: target + scale · (chat − base).",
    chat="Chat",
    before="Before: {name}",
    after="After: {name}",
    message="Message",
    ask="Write a message; Enter sends it, Shift+Enter begins a new line",
    send="Send",
    stop="Stop",
    again="New conversation",
    samples="Try one of these",
    scale="Scale",
    scale_hint="How far along the chat vector. 0 is the target with the chat format, 1 the paper's value.",
    by_role="Scale by role",
    rules="All scales as one line",
    rules_hint="A number, then exceptions: `0.7 attention=0.5 0-3=1 *.q_proj.weight=0`. Enter sets them.",
    moved="Scale {scale}: {tensors} tensors in {ms} ms.",
    settings="Settings",
    system="System prompt",
    temperature="Temperature (0: the most likely token)",
    top_p="Top-p",
    seed="Seed",
    limit="Longest reply (tokens)",
    thinking="Thinking …",
    thought="Thought for {count} characters",
    at_scale="scale {scale}",
    tokens="{count} tokens",
    in_turn="Waiting for the model …",
    was_stopped="stopped",
    was_cut="cut at {limit} tokens; Settings allow more",
    was_filled="the context is full; begin a new conversation",
    context_full="The context of {context} tokens is full: begin a new conversation, or write less.",
    template_refuses="The chat template takes no such conversation; it may have no system role.",
    restarted="The server was started again, or has forgotten this page: a new conversation, at the first scale.",
    vector="Vector",
    look="Look at the vector",
    sizes="Size of chat − base by layer and role, against base",
    cosines="Cosine between the layers of the vector",
    lineage="Cosine of chat − base and target − base, by layer",
    no_parents="A vector on disk: base is not at hand, so descent cannot be checked here.",
    verdict_fine="The lineage is in order",
    verdict_warning="The lineage deserves a look",
    verdict_refused="The lineage speaks against it",
    evaluate="Evaluate",
    suite="Tasks",
    language="Language of the tasks",
    items="Items per task",
    items_hint="0: all of them",
    run_suite="Measure both models",
    scales="Scales to try",
    scales_hint="Of a sweep: first:last:step, or a list",
    run_sweep="Sweep the scale",
    cancel="Cancel",
    cancelled="Cancelled. Replies that were given are kept: the next run goes on from there.",
    progress="{done} of {total} replies",
    waiting="Loading tasks …",
    kept_report="Save the report",
    report="Report",
    recipe="Recipe",
    command="The same on the command line",
    yaml="The recipe; chatvector run makes it",
    download="Download recipe.yaml",
    output="Write the merged model to",
    output_hint="A new directory on the machine that runs this page",
    write="Write the model",
    written="{output} is written: {size} in {seconds} s.",
)

KO = Words(
    tag="ko",
    own_name="한국어",
    languages="언어",
    alone="{name}와(과) 대화합니다.",
    pair="챗 벡터를 더하기 전과 후의 {target}: 대상 + 배율 · (챗 − 베이스).",
    chat="대화",
    before="적용 전: {name}",
    after="적용 후: {name}",
    message="메시지",
    ask="메시지를 입력하세요. Enter로 보내고 Shift+Enter로 줄을 바꿉니다",
    send="보내기",
    stop="중지",
    again="새 대화",
    samples="이렇게 물어보세요",
    scale="배율(scale)",
    scale_hint="챗 벡터를 따라 얼마나 갈지 정합니다. 0은 대화 형식만 갖춘 대상 모델, 1은 논문의 값입니다.",
    by_role="역할별 배율",
    rules="모든 배율을 한 줄로",
    rules_hint="숫자 하나, 그다음 예외: `0.7 attention=0.5 0-3=1 *.q_proj.weight=0`. Enter로 적용합니다.",
    moved="배율 {scale}: 텐서 {tensors}개, {ms}ms.",
    settings="설정",
    system="시스템 프롬프트",
    temperature="온도 (0: 가장 유력한 토큰)",
    top_p="Top-p",
    seed="시드",
    limit="답변의 최대 길이 (토큰)",
    thinking="생각하는 중 …",
    thought="{count}자를 생각함",
    at_scale="배율 {scale}",
    tokens="{count}토큰",
    in_turn="모델을 기다리는 중 …",
    was_stopped="중지됨",
    was_cut="{limit}토큰에서 끊겼습니다. 설정에서 늘릴 수 있습니다",
    was_filled="컨텍스트가 가득 찼습니다. 새 대화를 시작하세요",
    context_full="{context}토큰의 컨텍스트가 가득 찼습니다. 새 대화를 시작하거나 더 짧게 쓰세요.",
    template_refuses="대화 템플릿이 이런 대화를 받지 않습니다. 시스템 역할이 없을 수 있습니다.",
    restarted="서버가 다시 시작되었거나 이 페이지를 잊었습니다. 처음 배율로 새 대화를 시작합니다.",
    vector="벡터",
    look="벡터 살펴보기",
    sizes="층과 역할별 챗 − 베이스의 크기 (베이스 대비)",
    cosines="벡터의 층 사이 코사인",
    lineage="층별 (챗 − 베이스)와 (대상 − 베이스)의 코사인",
    no_parents="디스크에 저장된 벡터입니다. 베이스가 없어 계보를 확인할 수 없습니다.",
    verdict_fine="계보에 문제가 없습니다",
    verdict_warning="계보를 살펴볼 필요가 있습니다",
    verdict_refused="계보가 맞지 않습니다",
    evaluate="평가",
    suite="과제",
    language="과제의 언어",
    items="과제당 문항 수",
    items_hint="0: 전부",
    run_suite="두 모델 측정",
    scales="시도할 배율",
    scales_hint="스윕용, 처음:끝:간격 또는 목록",
    run_sweep="배율 스윕",
    cancel="취소",
    cancelled="취소했습니다. 받은 답변은 남아 있어 다음 실행이 이어서 합니다.",
    progress="답변 {total}개 중 {done}개",
    waiting="과제를 불러오는 중 …",
    kept_report="보고서 저장",
    report="보고서",
    recipe="레시피",
    command="명령줄로 쓰면",
    yaml="레시피 (chatvector run으로 실행)",
    download="recipe.yaml 내려받기",
    output="병합한 모델을 저장할 곳",
    output_hint="이 페이지를 실행하는 컴퓨터의 새 디렉터리",
    write="모델 저장",
    written="{output}에 저장했습니다: {size}, {seconds}초.",
)

ZH_HANT = Words(
    tag="zh-Hant",
    own_name="繁體中文",
    languages="語言",
    alone="與 {name} 對話。",
    pair="{target} 加上對話向量之前與之後：目標 + 比例 ·（對話 − 基底）。",
    chat="對話",
    before="之前：{name}",
    after="之後：{name}",
    message="訊息",
    ask="輸入訊息；按 Enter 送出，Shift+Enter 換行",
    send="送出",
    stop="停止",
    again="新對話",
    samples="試試這些問題",
    scale="比例（scale）",
    scale_hint="沿著對話向量走多遠。0 是只有對話格式的目標模型，1 是論文的值。",
    by_role="各部分的比例",
    rules="一行寫出所有比例",
    rules_hint="先寫一個數字，再寫例外：`0.7 attention=0.5 0-3=1 *.q_proj.weight=0`。按 Enter 套用。",
    moved="比例 {scale}：{tensors} 個張量，{ms} 毫秒。",
    settings="設定",
    system="系統提示",
    temperature="溫度（0：最可能的詞元）",
    top_p="Top-p",
    seed="隨機種子",
    limit="回覆長度上限（詞元）",
    thinking="思考中 …",
    thought="思考了 {count} 個字元",
    at_scale="比例 {scale}",
    tokens="{count} 個詞元",
    in_turn="等待模型中 …",
    was_stopped="已停止",
    was_cut="在 {limit} 個詞元處截斷；可在設定中放寬",
    was_filled="上下文已滿；請開始新對話",
    context_full="{context} 個詞元的上下文已滿：請開始新對話，或縮短訊息。",
    template_refuses="對話範本不接受這樣的對話；它可能沒有系統角色。",
    restarted="伺服器已重新啟動，或已忘記本頁面：這是新的對話，比例回到起始值。",
    vector="向量",
    look="檢視向量",
    sizes="各層、各部分中（對話 − 基底）相對於基底的大小",
    cosines="向量各層之間的餘弦",
    lineage="各層（對話 − 基底）與（目標 − 基底）的餘弦",
    no_parents="這是磁碟上的向量：沒有基底模型，無法檢查血統。",
    verdict_fine="血統沒有問題",
    verdict_warning="血統值得再看一眼",
    verdict_refused="血統不符",
    evaluate="評測",
    suite="任務",
    language="任務的語言",
    items="每項任務的題數",
    items_hint="0：全部",
    run_suite="測量兩個模型",
    scales="要試的比例",
    scales_hint="掃描用：起點:終點:間距，或列表",
    run_sweep="掃描比例",
    cancel="取消",
    cancelled="已取消。已得到的回覆會保留，下次從那裡繼續。",
    progress="{total} 個回覆中的 {done} 個",
    waiting="正在載入任務 …",
    kept_report="儲存報告",
    report="報告",
    recipe="配方",
    command="等同的命令列",
    yaml="配方（用 chatvector run 執行）",
    download="下載 recipe.yaml",
    output="把合併後的模型寫到",
    output_hint="執行本頁面的電腦上的新目錄",
    write="寫出模型",
    written="已寫入 {output}：{size}，{seconds} 秒。",
)

ALL = (EN, KO, ZH_HANT)


def preferred(accept_language: str) -> Words:
    """The language that a browser's Accept-Language header asks for first among those that are here; else English.

    Any Chinese is better served by Traditional Chinese than by English.
    """
    wishes: list[tuple[float, int, str]] = []
    for place, part in enumerate(accept_language.split(",")[:50]):
        tag, _, quality = part.strip().partition(";")
        try:
            weight = float(quality.strip().removeprefix("q=")) if quality else 1.0
        except ValueError:
            continue
        if weight > 0:
            wishes.append((-weight, place, tag.strip().lower()))
    for _, _, tag in sorted(wishes):
        for words in ALL:
            if tag.split("-")[0] == words.tag.split("-")[0]:
                return words
    return EN
