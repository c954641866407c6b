/** What a change of settings does to ratings that there are. The page needs it too, so nothing of the store is imported. */

/** An aspect whose ratings count no more: they stay in the record. */
export interface RatingLoss {
  /** Name of the aspect. */
  aspect: string;
  /** Its highest rating from now on; null if the aspect goes. */
  scale: number | null;
  /** Judgments whose rating of it counts no more. */
  judgments: number;
}

/** Says in a sentence what becomes of ratings. */
export const lossInWords = ({ aspect, scale, judgments }: RatingLoss): string => {
  const these = judgments === 1 ? '1 judgment' : `${judgments} judgments`;
  return scale === null
    ? `The aspect "${aspect}" is removed: ${these} rate it.`
    : `The scale of "${aspect}" shrinks to ${scale}: ${these} rate it higher.`;
};
