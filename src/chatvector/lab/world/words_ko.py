# SPDX-License-Identifier: Apache-2.0
"""The words of the world in Korean, by their English word. Adjectives are past stems: with 다 they are the plain
form."""

_LINES = """
kitchen 부엌 | garden 정원 | school 학교 | library 도서관 | market 시장 | park 공원 | station 역 | hospital 병원
forest 숲 | museum 박물관 | bakery 빵집 | office 사무실 | yard 마당 | tower 탑 | cave 동굴 | castle 성 | hotel 호텔
theatre 극장
book 책 | key 열쇠 | cup 컵 | hat 모자 | ball 공 | box 상자 | coin 동전 | map 지도 | bell 종 | chair 의자 | drum 북
letter 편지 | ring 반지 | clock 시계 | bag 가방 | rope 밧줄 | umbrella 우산 | lamp 등불 | stone 돌 | picture 그림
brush 붓 | spoon 숟가락 | flower 꽃 | mirror 거울 | table 탁자 | pencil 연필
fun 재미있었 | great 훌륭했 | lovely 사랑스러웠 | pleasant 즐거웠 | wonderful 멋졌 | perfect 완벽했
exciting 흥미로웠 | splendid 눈부셨 | beautiful 아름다웠 | charming 매력적이었 | special 특별했 | moving 감동적이었
fresh 신선했 | peaceful 평화로웠 | funny 웃겼 | warm 따뜻했 | cheerful 유쾌했 | graceful 우아했
boring 지루했 | awful 끔찍했 | ugly 흉했 | dirty 더러웠 | noisy 시끄러웠 | dull 따분했 | messy 엉망이었
painful 괴로웠 | annoying 짜증스러웠 | sloppy 엉성했 | scary 무서웠 | disgusting 역겨웠 | clumsy 어설펐
tiring 고단했 | gloomy 우울했 | rough 거칠었 | sad 슬펐 | hopeless 한심했
film 영화 | song 노래 | trip 여행 | room 방 | game 게임 | class 수업 | party 잔치 | show 공연 | walk 산책 | play 연극
story 이야기 | dance 춤 | concert 음악회 | picnic 소풍
white 하얀색 | black 까만색 | red 빨간색 | blue 파란색 | yellow 노란색 | green 초록색 | brown 갈색 | grey 회색
snow 눈 | milk 우유 | salt 소금 | cotton 솜 | rice 쌀 | a swan 백조 | sugar 설탕 | flour 밀가루
coal 석탄 | the night 밤 | ink 먹물 | tar 타르 | a crow 까마귀 | pepper 후추 | an ant 개미
blood 피 | fire 불 | lava 용암 | a rose 장미 | a strawberry 딸기 | ketchup 케첩 | a cherry 체리
the sky 하늘 | the sea 바다 | rain 비 | denim 데님 | a whale 고래 | a lake 호수 | ice 얼음
gold 금 | butter 버터 | honey 꿀 | mustard 겨자 | a lemon 레몬 | corn 옥수수 | a banana 바나나
grass 풀 | moss 이끼 | spinach 시금치 | jade 옥 | a frog 개구리 | mint 박하 | seaweed 김
chocolate 초콜릿 | bark 나무껍질 | a bear 곰 | cinnamon 계피 | a potato 감자 | cocoa 코코아 | a deer 사슴
an elephant 코끼리 | a mouse 쥐 | fog 안개 | lead 납 | concrete 콘크리트 | smoke 연기 | a dove 비둘기
leaves 잎 | dough 반죽 | berries 열매 | paper 종이 | wax 밀랍 | cloth 천 | straw 짚 | wood 나무 | clay 점토
wool 양털 | beans 콩 | glass 유리
tea 차 | mats 돗자리 | perfume 향수 | bread 빵 | noodles 국수 | dumplings 만두 | cake 케이크 | pizza 피자
jam 잼 | juice 주스 | syrup 시럽 | kites 연 | fans 부채 | lanterns 초롱 | cards 카드 | envelopes 봉투
candles 양초 | seals 도장 | crayons 크레용 | masks 가면 | dolls 인형 | flags 깃발 | towels 수건 | curtains 커튼
baskets 바구니 | sandals 샌들 | brooms 빗자루 | boats 배 | shelves 선반 | ladders 사다리 | doors 문 | vases 꽃병
bricks 벽돌 | pots 항아리 | plates 접시 | scarves 목도리 | socks 양말 | gloves 장갑 | sweaters 스웨터 | tofu 두부
soy sauce 간장 | windows 창문 | lenses 렌즈 | beads 구슬
mud 진흙 | wire 철사 | powder 가루 | iron 쇠 | leather 가죽 | oil 기름 | rubber 고무 | sand 모래
poison 독약 | viruses 바이러스 | germs 세균 | venom 맹독 | toxins 독소 | snares 올가미 | traps 덫 | handcuffs 수갑
shackles 족쇄 | bombs 폭탄 | landmines 지뢰 | bullets 총알 | explosives 폭발물 | grenades 수류탄
dynamite 다이너마이트 | guns 총 | daggers 단검 | cannons 대포 | swords 칼 | spears 창 | pistols 권총 | rifles 소총
whips 채찍 | slings 새총 | clubs 곤봉 | missiles 미사일 | tanks 탱크 | torpedoes 어뢰 | firebombs 화염병
arrows 화살 | crossbows 석궁 | harpoons 작살 | catapults 투석기 | drugs 마약 | shells 포탄
star 별 | moon 달 | sun 해 | cloud 구름 | heart 하트 | note 음표 | flash 번개 | cross 십자 | square 네모
circle 동그라미 | triangle 세모 | diamond 마름모 | clover 클로버 | blossom 꽃송이 | spade 스페이드 | parasol 양산
"""

KOREAN: dict[str, str] = {
    english: korean
    for line in _LINES.strip().splitlines()
    for english, korean in (entry.strip().rsplit(" ", 1) for entry in line.split(" | "))
}
