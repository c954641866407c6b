/** The sequences of completions: one each, but for an agent's episodes, which may have none or several. */
import { type Completion, writtenTokens } from '../reward-functions/reward-function.ts';

/** Sequences that the policy wrote some token of, in the order of their completions. */
export interface Sequences {
  /** The sequences as completions of their own: [sequences]. */
  sequences: readonly Completion[];
  /** The completion that each belongs to: [sequences]. */
  owners: readonly number[];
}

/** The sequences of completions. */
export function sequencesOf(completions: readonly Completion[]): Sequences {
  const all = completions.flatMap(({ branches = [], ...first }, owner) =>
    [first, ...branches.map((branch) => ({ ...first, ...branch }))].map((sequence) => ({ sequence, owner })),
  );
  const written = all.filter(({ sequence }) => writtenTokens(sequence).length > 0);
  return { sequences: written.map(({ sequence }) => sequence), owners: written.map(({ owner }) => owner) };
}

/** Numbers per token of completions, [completions][tokens], as those of their sequences: [sequences][tokens]. */
export function splitBySequence(
  numbers: readonly Float32Array[],
  { sequences, owners }: Sequences,
): readonly Float32Array[] {
  let start = 0;
  return sequences.map((sequence, i) => {
    if (owners[i] !== owners[i - 1]) start = 0;
    const { length } = writtenTokens(sequence);
    start += length;
    return numbers[owners[i]].subarray(start - length, start);
  });
}

/** Numbers of sequences, [sequences][numbers], as those of `count` completions: the inverse of `splitBySequence`. */
export function joinBySequence(numbers: readonly Float32Array[], { owners }: Sequences, count: number): Float32Array[] {
  const parts: Float32Array[][] = Array.from({ length: count }, () => []);
  for (const [i, owner] of owners.entries()) parts[owner].push(numbers[i]);
  return parts.map((own) => {
    if (own.length === 1) return own[0];
    const joined = new Float32Array(own.reduce((sum, { length }) => sum + length, 0));
    let start = 0;
    for (const part of own) {
      joined.set(part, start);
      start += part.length;
    }
    return joined;
  });
}
