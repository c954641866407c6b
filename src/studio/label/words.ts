/** Answers in words, with left and right as the reader saw them. */
import type { Answer, Vote } from '../page/api.ts';
import { placeName } from '../page/shown.tsx';

export function inWords(vote: Vote, shown: readonly number[]): string {
  switch (vote.kind) {
    case 'pair': {
      const places = { tie: 'equally good', 'both-bad': 'both bad', unknown: 'cannot tell' };
      if (vote.choice !== 'first' && vote.choice !== 'second') return places[vote.choice];
      const place = shown.indexOf(vote.choice === 'first' ? 0 : 1);
      const much = vote.strength ? `${strengths[vote.strength - 1]} ` : '';
      return `${placeName(place, 2).toLowerCase()} is ${much}better`;
    }
    case 'ranking': {
      const { ranks } = vote;
      const order = [...new Set(ranks)].sort((a, b) => a - b);
      const placesOf = (rank: number) =>
        shown.flatMap((option, place) => (ranks[option] === rank ? [String(place + 1)] : []));
      return order.map((rank) => placesOf(rank).join(' = ')).join(' > ');
    }
    case 'rating':
      return Object.entries(vote.ratings)
        .map(([name, value]) => `${name} ${value}`)
        .join(', ');
    case 'binary':
      return vote.good ? 'good' : 'bad';
    case 'skip':
      return vote.reason ? `skipped: ${vote.reason}` : 'skipped';
    default:
      return vote.text;
  }
}

/** How much better, in words. */
export const strengths = ['slightly', 'clearly', 'much'] as const;

/** Whether an answer says what is right; undefined of what is written, where many are. */
export function isRight(vote: Vote, gold: Answer): boolean | undefined {
  if (vote.kind === 'pair' && gold.kind === 'pair') return vote.choice === gold.choice;
  if (vote.kind === 'binary' && gold.kind === 'binary') return vote.good === gold.good;
  if (vote.kind === 'ranking' && gold.kind === 'ranking') {
    return vote.ranks.every((rank, i) =>
      vote.ranks.every((other, j) => rank < other === gold.ranks[i] < gold.ranks[j]),
    );
  }
  if (vote.kind === 'rating' && gold.kind === 'rating') {
    return Object.entries(gold.ratings).every(([name, value]) => Math.abs(value - vote.ratings[name]) <= 1);
  }
  return undefined;
}
