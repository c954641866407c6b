/** The words of the reviews: places and their items, adjectives by what they can describe, and small classes. */

const list = (text: string): readonly string[] => text.split(' ');

/** A word's opinion of its object. */
export const polarities = ['praise', 'blame', 'neutral'] as const;
export type Polarity = (typeof polarities)[number];

/** The kind of an item, which decides what can be said about it: food may be savory, a captain may not. */
type Kind = 'food' | 'thing' | 'person' | 'animal' | 'show';

export interface ReviewedItem {
  readonly word: string;
  readonly kind: Kind;
  readonly plural: boolean;
  /** The place it belongs to; absent if it fits any place. */
  readonly place?: ReviewedPlace;
}

// No item belongs to two places, so one item reveals the place of a text.
const belongings = {
  aquarium:
    'octopus:animal seals:animals sharks:animals turtles:animals tanks:things tunnel:thing diver:person waffles:foods',
  campsite:
    'ducks:animals squirrels:animals tents:things hammocks:things campfire:thing ranger:person barbecue:food marshmallows:foods',
  castle:
    'tower:thing dungeon:thing cannons:things throne:thing warden:person falcons:animals tapestry:show banquet:food',
  circus: 'elephant:animal ponies:animals clown:person acrobats:people parade:show tricks:shows ring:thing toffee:food',
  harbour:
    'boats:things pier:thing lighthouse:thing captain:person dolphins:animals pelicans:animals shanties:shows oysters:foods',
  library: 'atlas:show legends:shows letters:shows desks:things armchair:thing globe:thing librarian:person cocoa:food',
  market:
    'honey:food olives:foods peaches:foods tomatoes:foods baskets:things scarves:things butcher:person juggler:person',
  planetarium:
    'dome:thing telescopes:things rockets:things projector:thing astronomer:person lecture:show documentary:show biscuits:foods',
  restaurant:
    'pasta:food steak:food desserts:foods napkins:things tables:things waiter:person pianist:person ballads:shows',
  spa: 'bathrobes:things slippers:things candles:things jacuzzi:thing masseur:person meditation:show salad:food smoothies:foods',
  stadium:
    'match:show anthem:show pitch:thing scoreboard:thing turnstiles:things referee:person mascot:animal burgers:foods',
  tavern: 'ale:food gravy:food chips:foods sausages:foods barrels:things fireplace:thing landlord:person quiz:show',
} as const;

const everywhere =
  'manager:person gate:thing reception:thing lighting:thing benches:things signs:things washrooms:things brochure:show';

export type ReviewedPlace = keyof typeof belongings;
export const places = Object.keys(belongings) as readonly ReviewedPlace[];
export const isPlace = (word: string): word is ReviewedPlace => Object.hasOwn(belongings, word);

const kinds: Record<string, { kind: Kind; plural: boolean }> = {
  food: { kind: 'food', plural: false },
  foods: { kind: 'food', plural: true },
  thing: { kind: 'thing', plural: false },
  things: { kind: 'thing', plural: true },
  person: { kind: 'person', plural: false },
  people: { kind: 'person', plural: true },
  animal: { kind: 'animal', plural: false },
  animals: { kind: 'animal', plural: true },
  show: { kind: 'show', plural: false },
  shows: { kind: 'show', plural: true },
};

const items = (text: string, place?: ReviewedPlace): readonly ReviewedItem[] =>
  list(text).map((entry) => {
    const [word, kind] = entry.split(':');
    return { word, ...kinds[kind], place };
  });

export const ownItems = Object.fromEntries(places.map((place) => [place, items(belongings[place], place)])) as Record<
  ReviewedPlace,
  readonly ReviewedItem[]
>;
export const sharedItems = items(everywhere);

type ByPolarity = Readonly<Record<Polarity, readonly string[]>>;

/** Adjectives by kind; `any` fits everything. No adjective is in two lists. */
export const adjectives: Readonly<Record<Kind | 'any', ByPolarity>> = {
  food: {
    praise: list('appetising flavourful nourishing savoury scrumptious'),
    blame: list('lukewarm mouldy overcooked rotten tasteless'),
    neutral: list('spicy sweet'),
  },
  thing: {
    praise: list('handsome polished spotless sturdy stylish'),
    blame: list('cracked filthy grubby rusty wobbly'),
    neutral: list('grey wide'),
  },
  person: {
    praise: list('attentive courteous generous thoughtful welcoming'),
    blame: list('arrogant dishonest hostile moody unhelpful'),
    neutral: list('elderly talkative'),
  },
  animal: {
    praise: list('adorable affectionate energetic graceful majestic'),
    blame: list('aggressive hungry miserable scruffy unhealthy'),
    neutral: list('spotted tiny'),
  },
  show: {
    praise: list('hilarious inspiring thrilling touching witty'),
    blame: list('dreary pointless predictable repetitive shallow'),
    neutral: list('brief traditional'),
  },
  any: {
    praise: list('brilliant impressive lovely marvellous outstanding'),
    blame: list('abysmal appalling disgraceful lousy unpleasant'),
    neutral: list('adequate typical unremarkable'),
  },
};

export const verbs: ByPolarity = {
  praise: list('admired adored appreciated favoured'),
  blame: list('criticised detested loathed resented'),
  neutral: list('inspected mentioned observed'),
};

/** Classes whose words are interchangeable everywhere. */
export const classes = {
  day: list('monday tuesday wednesday thursday friday saturday sunday'),
  month: list('february march april may june july august september october december'),
  companion: list('aunt colleague daughter grandmother husband nephew son wife'),
  ordinal: list('second third fourth fifth sixth'),
  number: list('five eight eleven twelve fifteen thirty forty fifty'),
  adverb: list('extremely fairly remarkably somewhat surprisingly unusually'),
  man: list('daniel felix hugo martin peter simon'),
  woman: list('alice ella hannah lucy marie sofia'),
} as const;
export type WordClass = keyof typeof classes;

/** Every item by its word. */
export const itemByWord: ReadonlyMap<string, ReviewedItem> = new Map(
  [...Object.values(ownItems).flat(), ...sharedItems].map((item) => [item.word, item]),
);

/** Every adjective's kind and polarity. */
export const adjectiveOf: ReadonlyMap<string, { kind: Kind | 'any'; polarity: Polarity }> = new Map(
  (Object.keys(adjectives) as (Kind | 'any')[]).flatMap((kind) =>
    polarities.flatMap((polarity) => adjectives[kind][polarity].map((word) => [word, { kind, polarity }] as const)),
  ),
);

/** The polarity of every adjective and verb. */
export const polarityByWord: ReadonlyMap<string, Polarity> = new Map([
  ...[...adjectiveOf].map(([word, { polarity }]) => [word, polarity] as const),
  ...polarities.flatMap((polarity) => verbs[polarity].map((word) => [word, polarity] as const)),
]);
