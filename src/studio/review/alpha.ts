/**
 * What α means in words. The usual bars are 0.8, and 0.667 for tentative conclusions (Krippendorff 2004); preferences
 * rarely reach them.
 */
export function alphaInWords(alpha: number | null): string {
  if (alpha === null) return 'it needs items that two people judged, and judgments that differ; texts have no α';
  if (alpha >= 0.8) return 'high agreement';
  if (alpha >= 0.4) return 'moderate agreement, as is usual where tastes differ';
  return 'little more than chance: check that the guidelines are clear';
}
