# SPDX-License-Identifier: Apache-2.0
"""How five languages deny, name, state and conclude that something bears a label: patterns for `labels`.

Lists of words are separated by spaces. Each word is a regular expression in which `~` stands for optional and `_` for
required white space. The patterns are applied to text that `labels.fold` made: NFKC, lower case.
"""

from __future__ import annotations

from dataclasses import dataclass


def _any(words: str) -> str:
    """A regular expression that matches one of the words."""
    return "(?:" + "|".join(words.replace("~", r"\s*").replace("_", r"\s+").split()) + ")"


@dataclass(frozen=True)
class Grammar:
    """How a language talks about a label. `before` patterns are searched in the part of the sentence before the mention
    of a label, `after` patterns are matched from the end of the mention on.

    Attributes:
        denied_before, denied_after: "not …", "…이 아니다"; also "rather than …", "whether …", "…かどうか".
        denied_twice: "not anything but …": stands before a mention and is not a denial.
        conceded_before, conceded_after: "though …", "…도 있다": the label yields to another one that is given as
            strongly.
        named_before: "the answer is …", "label: …".
        concluding: words that announce a verdict; the first label after such a word in its sentence is the verdict.
        stated_before, stated_after: "is …", "about …", "…입니다", "…に分類".
        copula: what may follow a label that stands alone: "긍정입니다".
        joins: what stands between the members of a list.
    """

    denied_before: str
    denied_after: str
    denied_twice: str
    conceded_before: str
    conceded_after: str
    named_before: str
    concluding: str
    stated_before: str
    stated_after: str
    copula: str
    joins: str


_NEVER = r"(?!)"
_Q = r"[\"'“”‘’「」『』《》〈〉\[\](){}*_`#]*"
"""Quotation marks, brackets and markup around a label."""

_FEW = "{0,10}"
"""Number of filler words in a row, as a regular expression. It is bounded because some fillers consist of others
(이라고, 말하): if a model repeats one endlessly, there are more ways to split the text than can be tried."""

# --- English

_EN_FILLER = (
    r"(?:\s+"
    + _any(
        """an? the very really clearly strictly mostly mainly primarily quite rather overall more largely
        definitely overwhelmingly predominantly generally classified as category of topic probably likely"""
    )
    + ")*"
)
_EN_STOPS = _any("but and or than yet so because however though although while since")
_EN_WORD = rf"(?:\s+(?!{_EN_STOPS}\b)[a-z'’-]+)"
_EN_REACH = f"{_EN_WORD}{{0,5}}"  # "not" reaches 5 words far, "I don't think" 9; a conjunction ends it
_EN_NOT = _any(
    r"""(?:\b|can)not(?!_(?:only|just|merely|simply|deny|be_denied|be_more)) n['’]t(?!_(?:deny|be_denied|be_more))
    \bnever \bneither \bnor \bnon \bno(?!_(?:doubt|question)) \bi_doubt \bhardly \bfar_from
    \banything_but \brather_than \bmore_\S+_than \binstead_of \bless \bunlikely
    \bwhether(?:_(?:it|this|the_\w+))? \bif_(?:it|this|the_\w+)"""
)
_EN_NO_OPINION = r"(?:\bnot|n['’]t)\s+(?:think|believe|feel|say|claim)"
_EN = Grammar(
    denied_before=rf"(?:{_EN_NOT}-?{_EN_REACH}|{_EN_NO_OPINION}{_EN_WORD}{{0,9}})\s*{_Q}$",
    denied_after=rf"{_Q}\s*(?:label|category|topic|sentiment)?\s*"
    + _any(
        """(?:is|was|would_be)_(?:not|wrong|incorrect) (?:is|was|does|do|did)n['’]t (?:does|do|did)_not
        (?:is_|can_be_)?ruled_out or_not"""
    ),
    denied_twice=r"(?:(?:\bnot|cannot|n['’]t|\bnever|\bhardly)\b[^,]{0,40}?\b(?:any|some)thing|\bnothing)\s+"
    + rf"(?:but|except|(?:other|less)\s+than|short\s+of)(?:\s+about)?{_EN_FILLER}\s*{_Q}$",
    conceded_before=rf"\b{_any('though although while despite even_if albeit')}\b[^,]*$",
    conceded_after=_NEVER,
    named_before=r"\b"
    + _any(
        """answer label category topic sentiment classification verdict conclusion result output theme subject
        tone class genre"""
    )
    + rf"{_Q}\s*(?:is|was|would\s+be|:|=|->|→|-){_EN_FILLER}\s*{_Q}$",
    concluding=r"\b"
    + _any("overall therefore thus hence in_(?:conclusion|summary) to_sum_up ultimately on_balance all_in_all")
    + r"\b",
    stated_before=r"(?:\b"
    + _any("is was as about under to into be seems? appears? sounds? feels? leans? say call(?:_it)? go_with")
    + r"|['’]s)"
    + rf"{_EN_FILLER}\s*{_Q}$",
    stated_after=_NEVER,
    copula="",
    joins=rf"\s*{_any(r', / [|] ; or and nor vs[.]? & ,_(?:or|and)')}\s*",
)

# --- Korean

_KO_FILLER = (
    r"(?:\s*"
    + _any(
        """적 인 이라고 라고 이라 라 으로 로 이 가 은 는 을 를 도 에 와 과 것 글 내용 리뷰 평가 의견 주제 분야
        분류 표현 요소 부분 측면 면 느낌 감정 정서 카테고리 범주 관한 대한 관련된 속하 속한다고 해당하 해당되
        해당한다고 되 하 해야 보이 느껴지 느끼 들 드 나오 담기 단어 말 점 문장 톤 분위기 생각 판단 여기 말하 보 쪽 의
        거의 별로 전혀 딱히 그다지"""
    )
    + f"){_FEW}"
)
_KO_NOT = _any(
    """지~[는도가]?~(?:않|못) 진~(?:않|못) 않 아니 아닐(?!~수) 아닌 아닙 아님 없 보기(?:는|가|도|에는)?~(?:어렵|힘들)
    [볼할일]~[수리](?:는|가|도)?~없 기(?:는|가|도|엔|에는)?~(?:좀~)?(?:어렵|힘들|애매) 무관 상관없
    관련(?:이|은|도)?~없 거리가~[멀먼멉] 기?보다 대신 제외 인지 일지 틀[리렸린]"""
)
_KO_PART = _any("이야기 얘기 내용 표현 요소 부분 측면 면 느낌 감정 단어 말 점 문장 대목 의견")
_KO_IS = _any("있 나오 나옵 언급 등장 보이 보입 담겨")
_KO_TOPIC = _any("주제 분야 분류 카테고리 정답 답")
_KO = Grammar(
    denied_before=rf"(?:^|[\s\"'(])(?:안|비)\s*-?{_Q}$",
    # "않을 수 없다" ("cannot but be so") is not a denial.
    denied_after=rf"{_Q}{_KO_FILLER}{_Q}\s*{_KO_NOT}(?!을\s*수\s*없)",
    denied_twice=_NEVER,
    conceded_before=_NEVER,
    conceded_after=rf"{_Q}적?이지만|{_Q}(?:적인)?\s*{_KO_PART}?(?:도(?=\s)|[이가]?\s*{_KO_IS}\S*?(?:\s*하)?지만)",
    named_before=_any("정답 답변 답 결과 분류 주제 분야 감정 감성 판단 결론 카테고리 라벨 레이블 평가 선택")
    + rf"{_Q}\s*(?:은|는|:|=|->|→|-)\s*(?:바로\s*)?{_Q}$",
    concluding=_any("따라서 그러므로 결론적으로 종합하면 종합적으로 전체적으로 전반적으로 결국 요약하면 그래서 그러니"),
    stated_before=_NEVER,
    stated_after=rf"적?{_Q}\s*적?\s*"
    + _any(
        """입니다 이에요 예요 이다 임\\b 이며 이고 이지만 인~(?:리뷰|글|내용|평가|의견|감정)(?!도)
        (?:에|와|과)~(?:관한|대한|관련|속|해당) 으?로~(?:분류|판단|보|볼|봅|생각|해석)
        이?라고~(?:생각|판단|할|하|해|볼|봅|합)"""
    )
    + rf"|{_Q}[이가]\s*(?:이\s*)?(?:글의\s*)?(?:핵심|중심|주된|주요)?\s*{_KO_TOPIC}(?:입|이|예|인)",
    copula=rf"\s*적?{_any('입니다 이에요 예요 이다 임 이야 야 이네요 이요 요 이라고~생각합니다')}?",
    joins=r"(?:적|적인\s*것)?\s*"
    + _any(
        r", / [|] · ㆍ ; 이나 나 또는 혹은 및 ,?~그리고 과 와 이랑 랑 도 도~아니고 이지도 이?냐 인지 인가요?,? vs[.]?"
    )
    + r"\s*",
)

# --- Chinese, both scripts

_ZH_FILLER = (
    _any(
        r"""是 在 為 为 屬於 属于 一[個个篇種种條条則则] 關於 关于 太 很 那麼 那么 完全 真正 單純 单纯 純粹 纯粹
        特別 特别 什麼 什么 任何 有 算 說 说 明顯 明显 比較 比较 非常 典型 整體 整体 偏 較 较 以 的 絕對 绝对 說是 说是
        與 与 和 跟 對 对 歸類 归类 分類 分类 認為 认为 覺得 觉得 像 出 符合 適合 适合 [這这] 它 [條条則则篇段]
        評論 评论 文章 文字 主題 主题 \s"""
    )
    + _FEW
)
_ZH_NOT = _any(
    """(?<!不得)(?<!不[能可])(?<!不可能)不(?![僅仅只光單单過过得]) [並并而絕绝]?非(?!常)
    沒有? 没有? 無(?![非疑不]) 无(?![非疑不]) 未必 不見得
    不见得 談不上 谈不上 算不上 說不上 说不上 稱不上 称不上 多於 多于 比起 勝過 胜过 難說 难说 難以 难以 與其說
    与其说 是否 排除 而不"""
)
_ZH = Grammar(
    denied_before=rf"{_ZH_NOT}{_any('能算? 算 會 会 可能 應該 应该')}?{_ZH_FILLER}{_Q}$",
    denied_after=_any("的 類 类 方面 內容 内容 性 情感 情緒 情绪 主題 主题 類別 类别 領域 领域 \\s")
    + rf"*{_Q}"
    + _any(
        """
        [並并也]?(?:無關|无关|[沒没](?:有|什[麼么])[關关][係系]?|没有关系?|不符|不合|不對|不对|不是|不適|不适|不屬於|不属于)
        可以?排除 嗎 吗 與否 与否 之外 以外"""
    ),
    denied_twice=_NEVER,
    conceded_before=rf"{_any('雖然? 虽然? 儘管 尽管 即使')}[^,]*$",
    conceded_after=_NEVER,
    named_before=_any(
        """答案 回答 答 分類 分类 類別 类别 主題 主题 情感 情緒 情绪 傾向 倾向 結果 结果 標籤 标签 判斷 判断
        結論 结论 評價 评价"""
    )
    + rf"{_Q}\s*{_any('是 為 为 : = -> → - 應為 应为 應該是 应该是 屬於 属于')}\s*{_Q}$",
    concluding=_any(
        """因此 所以 總的來說 总的来说 總體 总体 整體 整体 總之 总之 綜上 综上 綜合 综合 結論 结论 最終 最终
        可見 可见"""
    ),
    stated_before=_any(
        """是 為 为 屬於 属于 歸[為类類] 归[为类類] 關於 关于 算 偏向? 傾向於? 倾向于? 有關 有关 選擇? 选择?"""
    )
    + rf"{_ZH_FILLER}{_Q}$",
    stated_after=rf"(?:的|類|类|方面)*{_Q}{_any('有關 有关 相關 相关')}",
    copula=rf"\s*{_any('類 类 的 方面 情感 情緒 情绪 評價 评价')}?",
    joins=rf"\s*{_any(r', 、 / [|] ; 或者? 或是 和 與 与 跟 及 還是 还是 也不是 又不是 vs[.]?')}\s*",
)

# --- Japanese

_JA_FILLER = (
    r"(?:\s*"
    + _any(
        """的 な の 内容 感情 評価 レビュー 文章 もの テーマ 話題 分野 ジャンル カテゴリー? 記事 面 要素 表現 話
        点 ところ 印象 言葉 に と は が も を へ で まで では じゃ という 関する ついて 属する 属し 分類され?
        分類でき だ わけ はず こと 見る 言う"""
    )
    + f"){_FEW}"
)
_JA_NOT = _any(
    """な(?:い|く|かっ|さ) 無い ありません ございません [言い]え(?:ない|ません) 思え(?:ない|ません)
    (?:思[わい]|考え|感じ|見)(?:られ)?(?:ない|ません)
    言い(?:難|がた) いうより より かどうか なのか か不明 見当たら 見当たりません 無関係
    関係(?:が|は)?(?:な|あり?ません) 除[いくき] せず されません されない できません できない しません しない"""
)
_JA = Grammar(
    denied_before=rf"(?:非|反){_Q}$",
    denied_after=rf"{_Q}{_JA_FILLER}{_Q}{_JA_NOT}",
    denied_twice=_NEVER,
    conceded_before=_any(
        "少し(?:だけ)? すこし やや 若干 ちょっと 多少 一部[にはがで]? 一[箇か]所(?:は|だけ)? ところどころ"
    )
    + rf"{_Q}$",
    conceded_after=rf"{_Q}[なの]{_any('点 面 言葉 ところ 部分 要素 表現 箇所')}"
    r"(?:も|[はが](?:あり|見られ|含まれ|出て)[^、。,]{0,12}?(?:が|けど|けれど|ものの)(?=[、,]))",
    named_before=_any("答え 回答 解答 分類 カテゴリー? ジャンル テーマ 感情 結果 ラベル 判定 結論 評価")
    + rf"{_Q}\s*(?:は|:|=|->|→|-)\s*、?{_Q}$",
    concluding=_any(
        """したがって よって 以上から 以上より 総合的に 総合すると 全体的に 全体として 結論 つまり そのため
        要するに 総じて"""
    ),
    stated_before=_NEVER,
    stated_after=rf"(?:的)?{_Q}\s*"
    + _any(
        """です である だ(?![けが]) でしょう な(?:内容|レビュー|評価|意見|感想|口コミ|感情)(?:です|である|だ)?
        に(?:関する|ついて|分類|属|該当|当ては|なり) と(?:言え|いえ|判断|思|考え|分類)"""
    ),
    copula=rf"\s*(?:的)?{_any('です である だ でしょう になります だと思います')}?",
    joins=rf"(?:的)?\s*{_any(r', 、 / [|] ・ ; または もしくは あるいは か や と でも も とか および なのか')}\s*",
)

GRAMMARS: dict[str, Grammar] = {"en": _EN, "ko": _KO, "zh-Hant": _ZH, "zh-Hans": _ZH, "ja": _JA}
