/** Distributions of a run's numbers over its steps: one column for each step, darker where there are more values. */
import { json } from '../page/api.ts';
import { Loaded, useResource } from '../page/load.tsx';
import { colorOf, shortNumber } from './chart.tsx';
import { ofRun, type RunDetails, runApi, type Spread } from './data.ts';

/** The tab of histograms. */
export function Spreads({ runs, version }: { runs: readonly RunDetails[]; version: number }) {
  const ids = runs.map(({ id }) => id);
  const loaded = useResource<Spread[]>(
    () => Promise.all(ids.map((id) => json(runApi.spread.$get(ofRun(id))))),
    ids.join(),
    version,
  );
  return <Loaded of={loaded}>{(spreads) => <SpreadsOf runs={runs} spreads={spreads} />}</Loaded>;
}

function SpreadsOf({ runs, spreads }: { runs: readonly RunDetails[]; spreads: readonly Spread[] }) {
  const names = [...new Set(spreads.flatMap(({ of: columns }) => Object.keys(columns)))];
  if (names.length === 0) return <p class="quiet">This run has no numbers to show here.</p>;
  return (
    <>
      {names.map((name) => (
        <section key={name} aria-label={name}>
          <h2>{name}</h2>
          <div class="panels">
            {spreads.map(
              ({ steps, of: columns }, i) =>
                columns[name] && <Heat key={i} name={runs[i].id} color={i} steps={steps} spread={columns[name]} />,
            )}
          </div>
        </section>
      ))}
    </>
  );
}

const [WIDTH, HEIGHT] = [400, 160];

function Heat({
  name,
  color,
  steps,
  spread,
}: {
  name: string;
  color: number;
  steps: readonly number[];
  spread: Spread['of'][string];
}) {
  const { least, greatest, means, shares } = spread;
  const [width, height] = [WIDTH / steps.length, HEIGHT / shares[0].length];
  const most = Math.max(...shares.flat());
  const span = greatest - least || 1;
  const line = means.flatMap((mean, i) =>
    mean === null ? [] : [`${(i + 0.5) * width},${HEIGHT * (1 - (mean - least) / span)}`],
  );
  const summary = `mean ${textOf(means[0])} at step ${steps[0]}, ${textOf(means.at(-1))} at step ${steps.at(-1)}`;
  return (
    <figure class="chart">
      <figcaption>{name.replace('~', ' › ')}</figcaption>
      <p class="ends quiet">
        <span>{shortNumber(greatest)}</span>
      </p>
      <svg
        viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
        preserveAspectRatio="none"
        role="img"
        aria-label={`${name}, from ${shortNumber(least)} to ${shortNumber(greatest)}: ${summary}`}
      >
        {shares.map((column, step) =>
          column.map(
            (share, bin) =>
              share > 0 && (
                <rect
                  x={step * width}
                  y={HEIGHT - (bin + 1) * height}
                  width={width}
                  height={height}
                  fill={colorOf(color)}
                  fill-opacity={0.1 + (0.8 * share) / most}
                />
              ),
          ),
        )}
        <polyline class="mean" points={line.join(' ')} />
      </svg>
      <p class="ends quiet">
        <span>{shortNumber(least)}</span>
      </p>
      <p class="ends quiet">
        <span>step {steps[0]}</span>
        <span>step {steps.at(-1)}</span>
      </p>
      <p class="reading">{summary}</p>
    </figure>
  );
}

const textOf = (value: number | null | undefined) => (value == null ? 'none' : shortNumber(value));
