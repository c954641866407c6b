export interface Sample {
  logProb: number;
  oldLogProb: number;
  advantage: number;
}

export function surrogate({ logProb, oldLogProb, advantage }: Sample, epsilon: number): number {
  const ratio = Math.exp(logProb - oldLogProb);
  const clipped = Math.max(1 - epsilon, Math.min(1 + epsilon, ratio));
  return Math.min(ratio * advantage, clipped * advantage);
}

/** Clipped where the ratio has already gone further than ε in the direction that the advantage asks for. */
const isClipped = ({ logProb, oldLogProb, advantage }: Sample, epsilon: number): boolean => {
  const ratio = Math.exp(logProb - oldLogProb);
  return (advantage > 0 && ratio > 1 + epsilon) || (advantage < 0 && ratio < 1 - epsilon);
};

export function slope(sample: Sample, epsilon: number): number {
  return isClipped(sample, epsilon) ? 0 : Math.exp(sample.logProb - sample.oldLogProb) * sample.advantage;
}

export function ppoLoss(samples: readonly Sample[], epsilon: number): { loss: number; clipFraction: number } {
  const mean = (numbers: readonly number[]) => numbers.reduce((sum, x) => sum + x, 0) / samples.length;
  return {
    loss: -mean(samples.map((sample) => surrogate(sample, epsilon))),
    clipFraction: mean(samples.map((sample) => Number(isClipped(sample, epsilon)))),
  };
}
