/** Words for where two options are: on a narrow page they are above and below, not left and right. */
import { useEffect, useState } from 'preact/hooks';
import type { Words } from './words.ts';

const NARROW = '(max-width: 45rem)';

/** Whether the page is so narrow that options are one below the other, as the style sheet has them. */
export function useNarrow(): boolean {
  const [narrow, setNarrow] = useState(() => matchMedia(NARROW).matches);
  useEffect(() => {
    const media = matchMedia(NARROW);
    const look = () => setNarrow(media.matches);
    media.addEventListener('change', look);
    return () => media.removeEventListener('change', look);
  }, []);
  return narrow;
}

/** The same words for a page where options are one below the other. */
export function stacked(words: Words): Words {
  const { above, below, aboveInside, belowInside, judgment } = words;
  return {
    ...words,
    places: { ...words.places, left: above, right: below },
    placesInside: { ...words.placesInside, left: aboveInside, right: belowInside },
    leftIsBetter: judgment.better(above),
    rightIsBetter: judgment.better(below),
    leftEnd: judgment.better(aboveInside),
    rightEnd: judgment.better(belowInside),
  };
}
