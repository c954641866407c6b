/** A histogram of groups of values, over one another in the same bins. */
import { colorOf, shortNumber } from './chart.tsx';

const BINS = 20;
const [WIDTH, HEIGHT] = [400, 120];

/** Draws the histogram; nothing if there are no values. */
export function Histogram({
  title,
  groups,
}: {
  title: string;
  groups: readonly { name: string; values: readonly number[] }[];
}) {
  const all = groups.flatMap(({ values }) => values);
  if (all.length === 0) return null;
  const [least, greatest] = [Math.min(...all), Math.max(...all)];
  const width = (greatest - least) / BINS || 1;
  const shares = groups.map(({ values }) => {
    const counts = new Array<number>(BINS).fill(0);
    for (const value of values) counts[Math.min(BINS - 1, Math.floor((value - least) / width))] += 1 / values.length;
    return counts;
  });
  const most = Math.max(...shares.flat());
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const summaries = groups.map(
    ({ name, values }) => `${name}: ${values.length > 0 ? `mean ${shortNumber(mean(values))}` : 'none'}`,
  );
  return (
    <figure class="chart">
      <figcaption>{title}</figcaption>
      <svg
        viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
        role="img"
        aria-label={`${title}, from ${shortNumber(least)} to ${shortNumber(greatest)}. ${summaries.join('; ')}`}
      >
        {shares.map((counts, group) =>
          counts.map((share, bin) => (
            <rect
              x={(bin * WIDTH) / BINS + 1}
              width={WIDTH / BINS - 2}
              y={HEIGHT * (1 - share / most)}
              height={(HEIGHT * share) / most}
              fill={colorOf(group)}
              fill-opacity={0.55}
            />
          )),
        )}
      </svg>
      <p class="ends quiet">
        <span>{shortNumber(least)}</span>
        <span>{shortNumber(greatest)}</span>
      </p>
      <p class="reading">
        {summaries.map((text, group) => (
          <span key={text}>
            <i style={{ background: colorOf(group) }} />
            {text}
          </span>
        ))}
      </p>
    </figure>
  );
}
