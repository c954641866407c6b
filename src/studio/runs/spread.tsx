/** How rewards, KL and lengths of the answers are spread, step by step: a column a step, the darker the more answers. */
import { useEffect, useState } from 'preact/hooks';
import { api } from '../page/api.ts';
import { Failure } from '../page/failure.tsx';
import { colorOf, figure } from './chart.tsx';
import { type RunDetails, runPath, type Spread } from './data.ts';

export function Spreads({ runs, version }: { runs: readonly RunDetails[]; version: number }) {
  const [found, setFound] = useState<Spread[]>();
  const [failed, setFailed] = useState<Error>();
  useEffect(() => {
    let here = true;
    Promise.all(runs.map(({ id }) => api<Spread>(`${runPath(id)}/spread`))).then(
      (spreads) => here && setFound(spreads),
      (error) => here && setFailed(error),
    );
    return () => {
      here = false;
    };
  }, [runs.map(({ id }) => id).join(), version]);
  if (failed) return <Failure error={failed} />;
  if (!found) return <p class="quiet">Loading…</p>;
  const names = [...new Set(found.flatMap(({ of }) => Object.keys(of)))];
  if (names.length === 0) return <p class="quiet">No answers of this kind were written yet.</p>;
  return (
    <>
      {names.map((name) => (
        <section key={name} aria-label={name}>
          <h2>{name}</h2>
          <div class="panels">
            {found.map(
              ({ steps, of }, i) =>
                of[name] && <Heat key={i} name={runs[i].id} color={i} steps={steps} spread={of[name]} />,
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
  const told = `mean ${textOf(means[0])} at step ${steps[0]}, ${textOf(means.at(-1))} at step ${steps.at(-1)}`;
  return (
    <figure class="chart">
      <figcaption>{name.replace('~', ' › ')}</figcaption>
      <p class="ends quiet">
        <span>{figure(greatest)}</span>
      </p>
      <svg
        viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
        preserveAspectRatio="none"
        role="img"
        aria-label={`${name}, from ${figure(least)} to ${figure(greatest)}: ${told}`}
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
        <span>{figure(least)}</span>
      </p>
      <p class="ends quiet">
        <span>step {steps[0]}</span>
        <span>step {steps.at(-1)}</span>
      </p>
      <p class="reading">{told}</p>
    </figure>
  );
}

const textOf = (value: number | null | undefined) => (value == null ? 'none' : figure(value));
