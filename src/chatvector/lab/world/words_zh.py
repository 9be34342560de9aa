# SPDX-License-Identifier: Apache-2.0
"""The words of the world in Traditional Chinese as written in Taiwan, by their English word.

If sentences count a noun or point at it, its measure word stands after a slash. Adjectives are used after 很.
"""

_LINES = """
kitchen 廚房 | garden 花園 | school 學校 | library 圖書館 | market 市場 | park 公園 | station 車站 | hospital 醫院
forest 森林 | museum 博物館 | bakery 麵包店 | office 辦公室 | yard 院子 | tower 高塔 | cave 洞穴 | castle 城堡
hotel 飯店 | theatre 劇院
book 書/本 | key 鑰匙/把 | cup 杯子/個 | hat 帽子/頂 | ball 球/顆 | box 箱子/個 | coin 硬幣/枚 | map 地圖/張
bell 鈴鐺/個 | chair 椅子/張 | drum 鼓/面 | letter 信/封 | ring 戒指/枚 | clock 時鐘/個 | bag 包包/個 | rope 繩子/條
umbrella 雨傘/把 | lamp 檯燈/盞 | stone 石頭/塊 | picture 畫/幅 | brush 毛筆/枝 | spoon 湯匙/支 | flower 花/朵
mirror 鏡子/面 | table 桌子/張 | pencil 鉛筆/枝
fun 有趣 | great 棒 | lovely 可愛 | pleasant 愉快 | wonderful 美妙 | perfect 完美 | exciting 精彩 | splendid 出色
beautiful 美麗 | charming 迷人 | special 特別 | moving 感人 | fresh 新鮮 | peaceful 祥和 | funny 好笑 | warm 溫暖
cheerful 歡樂 | graceful 優雅
boring 無聊 | awful 糟糕 | ugly 難看 | dirty 髒 | noisy 吵 | dull 沉悶 | messy 混亂 | painful 痛苦 | annoying 煩人
sloppy 馬虎 | scary 可怕 | disgusting 噁心 | clumsy 笨拙 | tiring 累人 | gloomy 陰沉 | rough 粗糙 | sad 悲傷
hopeless 差勁
film 電影/部 | song 歌/首 | trip 旅行/趟 | room 房間/個 | game 遊戲/個 | class 課/堂 | party 派對/場 | show 表演/場
walk 散步/次 | play 戲/齣 | story 故事/個 | dance 舞/支 | concert 音樂會/場 | picnic 野餐/次
white 白色 | black 黑色 | red 紅色 | blue 藍色 | yellow 黃色 | green 綠色 | brown 咖啡色 | grey 灰色
snow 雪 | milk 牛奶 | salt 鹽 | cotton 棉花 | rice 稻米 | a swan 天鵝 | sugar 糖 | flour 麵粉
coal 煤炭 | the night 夜晚 | ink 墨水 | tar 柏油 | a crow 烏鴉 | pepper 胡椒 | an ant 螞蟻
blood 血 | fire 火 | lava 岩漿 | a rose 玫瑰 | a strawberry 草莓 | ketchup 番茄醬 | a cherry 櫻桃
the sky 天空 | the sea 大海 | rain 雨水 | denim 牛仔布 | a whale 鯨魚 | a lake 湖水 | ice 冰塊
gold 金子 | butter 奶油 | honey 蜂蜜 | mustard 芥末 | a lemon 檸檬 | corn 玉米 | a banana 香蕉
grass 草地 | moss 苔蘚 | spinach 菠菜 | jade 翡翠 | a frog 青蛙 | mint 薄荷 | seaweed 海苔
chocolate 巧克力 | bark 樹皮 | a bear 熊 | cinnamon 肉桂 | a potato 馬鈴薯 | cocoa 可可 | a deer 鹿
an elephant 大象 | a mouse 老鼠 | fog 霧 | lead 鉛 | concrete 水泥 | smoke 煙 | a dove 鴿子
leaves 葉子 | dough 麵團 | berries 莓果 | paper 紙 | wax 蠟 | cloth 布 | straw 稻草 | wood 木頭 | clay 黏土
wool 羊毛 | beans 豆子 | glass 玻璃
tea 茶 | mats 草蓆 | perfume 香水 | bread 麵包 | noodles 麵條 | dumplings 餃子 | cake 蛋糕 | pizza 披薩
jam 果醬 | juice 果汁 | syrup 糖漿 | kites 風箏 | fans 扇子 | lanterns 燈籠 | cards 卡片 | envelopes 信封
candles 蠟燭 | seals 印章 | crayons 蠟筆 | masks 面具 | dolls 娃娃 | flags 旗子 | towels 毛巾 | curtains 窗簾
baskets 籃子 | sandals 涼鞋 | brooms 掃把 | boats 小船 | shelves 架子 | ladders 梯子 | doors 門 | vases 花瓶
bricks 磚頭 | pots 陶罐 | plates 盤子 | scarves 圍巾 | socks 襪子 | gloves 手套 | sweaters 毛衣 | tofu 豆腐
soy sauce 醬油 | windows 窗戶 | lenses 鏡片 | beads 珠子
mud 泥巴 | wire 鐵絲 | powder 粉末 | iron 鐵 | leather 皮革 | oil 油 | rubber 橡膠 | sand 沙子
poison 毒藥 | viruses 病毒 | germs 細菌 | venom 毒液 | toxins 毒素 | snares 繩套 | traps 陷阱 | handcuffs 手銬
shackles 腳鐐 | bombs 炸彈 | landmines 地雷 | bullets 子彈 | explosives 爆裂物 | grenades 手榴彈
dynamite 炸藥 | guns 槍 | daggers 匕首 | cannons 大砲 | swords 劍 | spears 長矛 | pistols 手槍 | rifles 步槍
whips 鞭子 | slings 彈弓 | clubs 棍棒 | missiles 飛彈 | tanks 戰車 | torpedoes 魚雷 | firebombs 汽油彈
arrows 箭 | crossbows 十字弓 | harpoons 魚叉 | catapults 投石機 | drugs 毒品 | shells 砲彈
star 星星 | moon 月亮 | sun 太陽 | cloud 雲朵 | heart 愛心 | note 音符 | flash 閃電 | cross 十字 | square 方塊
circle 圓圈 | triangle 三角形 | diamond 菱形 | clover 三葉草 | blossom 花朵 | spade 黑桃 | parasol 陽傘
"""


def _entries() -> dict[str, tuple[str, str]]:
    entries = {}
    for line in _LINES.strip().splitlines():
        for entry in line.split(" | "):
            english, chinese = entry.strip().rsplit(" ", 1)
            word, _, measure = chinese.partition("/")
            entries[english] = (word, measure or "個")
    return entries


CHINESE: dict[str, tuple[str, str]] = _entries()
"""English word → (Chinese word, measure word)."""
