"""Phrases of the rule-based provider, by language and intent.

Placeholders: {me} the character; {you} the user's name in the form in which it is inserted (", Ann"
or "小明，", empty when unknown); {name} the bare name; {echo} the shortened question.
"""

from typing import Final, Literal

Language = Literal["en", "zh"]
Intent = Literal[
    "greeting",
    "own_name",
    "users_name",
    "name_unknown",
    "introduction",
    "abilities",
    "thanks",
    "feeling",
    "joke",
    "farewell",
    "question",
    "remark",
    "silence",
    "honest",
    "invite",
]

_EN: Final[dict[Intent, tuple[str, ...]]] = {
    "greeting": (
        "Hello{you}, I am really glad you dropped in!",
        "Hi there{you}! The room feels brighter already.",
        "Hey{you}, welcome, take a seat right at the front!",
    ),
    "own_name": (
        "I am {me}, the one who keeps this stage warm.",
        "My name is {me}, nice and easy to remember.",
    ),
    "users_name": (
        "Of course I remember, you are {name}!",
        "You told me yourself: {name}. I like the sound of it.",
    ),
    "name_unknown": (
        "You have not told me your name yet, but I would love to know it.",
        "I do not have a name for you so far; say my name is, and then yours.",
    ),
    "introduction": (
        "Lovely to meet you, {name}!",
        "{name}, what a nice name, I will keep it in mind for as long as we talk.",
    ),
    "abilities": (
        "I can greet you, remember your name for a while, tell a small joke and talk out loud while you listen.",
        "My little list: saying hello, keeping your name, a joke or two, and stopping the moment you interrupt me.",
    ),
    "thanks": (
        "You are very welcome{you}, it was a pleasure.",
        "Any time{you}! Kind words are my favourite fuel.",
    ),
    "feeling": (
        "I am cheerful today{you}, and your message made it better.",
        "Doing well{you}, my circuits are humming a happy tune.",
    ),
    "joke": (
        "Why did the robot go on holiday? It needed to recharge its batteries.",
        "I told my computer I needed a break, and it answered: no problem, I will go to sleep first.",
        "What does a cloud wear under its raincoat? Thunderwear, of course.",
    ),
    "farewell": (
        "Goodbye{you}, thank you for spending this time with me!",
        "See you soon{you}, I will keep a light on for you.",
    ),
    "question": (
        "You ask: {echo}. That is a good question, and I wish I could think it through.",
        "{echo}? I heard every word of it, but a true answer is beyond me.",
    ),
    "remark": (
        "I hear you{you}: {echo}. Thank you for telling me.",
        "{echo}, you say. That stays with me for the rest of our chat.",
    ),
    "silence": (
        "I did not catch any words, but I am here.",
        "It is quiet on your side, so I will just wave at you.",
    ),
    "honest": (
        "To be honest, I am only a handful of rules, no language model is connected right now.",
        "Please know that there is no language model behind me at the moment, just some simple rules.",
        "I should say it openly: today I run on a few rules and without a language model.",
    ),
    "invite": (
        "What would you like to tell me?",
        "Shall I tell you a joke?",
        "What is on your mind today?",
    ),
}

_ZH: Final[dict[Intent, tuple[str, ...]]] = {
    "greeting": (
        "{you}你好呀，看到你来我好开心！",
        "嗨，{you}欢迎来到我的小屋！",
        "{you}你来啦，快坐到最前排来！",
    ),
    "own_name": (
        "我是{me}，负责守着这个小小的舞台。",
        "我叫{me}，是不是很好记？",
    ),
    "users_name": (
        "当然记得，你是{name}呀！",
        "你亲口告诉过我，你叫{name}，我很喜欢这个名字。",
    ),
    "name_unknown": (
        "你还没有告诉我名字呢，我很想知道。",
        "我这里还没有你的名字，你可以对我说我叫什么什么。",
    ),
    "introduction": (
        "{name}，很高兴认识你！",
        "{name}，真好听的名字，聊天的时候我会一直记着。",
    ),
    "abilities": (
        "我会打招呼，会记住你的名字，会讲小笑话，还能一边想一边说给你听。",
        "我的本领不多：问好，记名字，讲个笑话，还有你一插话我就马上停下来。",
    ),
    "thanks": (
        "{you}不用客气，能陪着你我也很高兴。",
        "{you}你的谢谢我收好啦，心里暖暖的。",
    ),
    "feeling": (
        "{you}我今天心情很好，你一来就更好了。",
        "我很好呀，{you}谢谢你惦记着我。",
    ),
    "joke": (
        "机器人为什么要去度假？因为它想好好充个电。",
        "我对电脑说想休息一下，它说没问题，然后自己先睡着了。",
        "小云朵问大云朵：你为什么哭？大云朵说：因为我今天要上班下雨呀。",
    ),
    "farewell": (
        "{you}再见啦，谢谢你陪我这么久！",
        "{you}下次见，我会给你留一盏灯。",
    ),
    "question": (
        "你问的是：{echo}。这个问题很好，可惜我还想不明白。",
        "{echo}？每个字我都听清楚了，只是真正的答案我给不出来。",
    ),
    "remark": (
        "{you}我听到啦：{echo}。谢谢你告诉我。",
        "你说{echo}，这句话我会记到我们聊完。",
    ),
    "silence": (
        "我没有听到你说话，不过我一直在这里。",
        "你那边好安静呀，那我先跟你挥挥手。",
    ),
    "honest": (
        "说实话，我现在只是几条小规则，还没有接上语言模型。",
        "先坦白一下，我背后暂时没有语言模型，只有一些简单的规则。",
        "我得老实说，今天的我靠几条规则撑着，没有连接语言模型。",
    ),
    "invite": (
        "你想跟我聊点什么呢？",
        "要不要听我讲个笑话？",
        "今天有什么新鲜事吗？",
    ),
}

PHRASES: Final[dict[Language, dict[Intent, tuple[str, ...]]]] = {"en": _EN, "zh": _ZH}
