/** What a project's answers are worth, in tables and plain words. */
import type { QualityReport } from '../../feedback/quality/report.ts';
import { pathOf } from '../page/api.ts';
import { Once, useLoaded } from '../page/load.tsx';

/** What is not a number there is null here. */
type Told<T> = T extends number ? number | null : T extends object ? { [K in keyof T]: Told<T[K]> } : T;
type Quality = Told<Omit<QualityReport, 'balance' | 'at'>> & Pick<QualityReport, 'balance' | 'at'>;

const share = (value: number | null): string => (value === null ? '–' : `${Math.round(100 * value)} %`);
const number = (value: number | null): string => (value === null ? '–' : value.toFixed(2));

export function Quality({ project }: { project: string }) {
  const quality = useLoaded<Quality>(`${pathOf(project)}/quality`);
  return (
    <main class="manage">
      <header class="progress">
        <h1>How far people agree: {project}</h1>
        <a class="button tools" href={`#/decide/${encodeURIComponent(project)}`}>
          Decide disagreements
        </a>
      </header>
      <Once of={quality}>
        {(found) => (
          <>
            <p class="quiet">As of {new Date(found.at).toLocaleString()}.</p>
            <Agreement {...found} />
            <People people={found.people} />
            <Spread balance={found.balance} />
          </>
        )}
      </Once>
    </main>
  );
}

function Agreement({ answers, items, alpha, cohen, fleiss, undecided, guidelines }: Quality) {
  const rows: [string, string, string][] = [
    ['Answers', `${answers} to ${items} items`, ''],
    [
      'Krippendorff’s α',
      alpha.alpha === null
        ? '–'
        : `${number(alpha.alpha)} (${number(alpha.interval[0])} to ${number(alpha.interval[1])})`,
      inWords(alpha.alpha),
    ],
    ['Cohen’s κ', number(cohen), 'mean of every two people with five items in common'],
    ['Fleiss’ κ', number(fleiss), 'where all items have equally many answers'],
    ['Disagreements', String(undecided), 'which nobody has decided yet'],
  ];
  return (
    <section aria-labelledby="agreement-title">
      <h2 id="agreement-title">Agreement</h2>
      {guidelines.length > 1 && (
        <p class="warning">
          The guidelines changed while people answered:{' '}
          {guidelines.map(({ version, answers }) => `version ${version}, ${answers} answers`).join('; ')}.
        </p>
      )}
      <table>
        <tbody>
          {rows.map(([name, value, meaning]) => (
            <tr>
              <th scope="row">{name}</th>
              <td>{value}</td>
              <td class="quiet">{meaning}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

/** By what is usually asked of α: from 0.8 on it is relied on, from 0.667 on with care (Krippendorff 2004). Preferences seldom reach either. */
function inWords(alpha: number | null): string {
  if (alpha === null) return 'nothing was answered by two people yet';
  if (alpha >= 0.8) return 'people agree';
  if (alpha >= 0.4) return 'people agree more often than not, as is usual of preferences';
  return 'little more than chance: are the guidelines clear?';
}

function warningsOf({ left, fatigue, gold, seconds }: Quality['people'][number]): string[] {
  return [
    ...(Math.abs(left.z ?? 0) > 3 ? [`chooses the left one ${share(left.share)} of the time`] : []),
    ...((fatigue ?? 0) > 0.15 ? [`agrees ${share(fatigue)} less often at the end than at the beginning`] : []),
    ...((gold.n ?? 0) >= 5 && (gold.right ?? 1) < 0.7 ? ['misses many known answers'] : []),
    ...(seconds !== null && seconds < 1.5 ? ['answers faster than one can read'] : []),
  ];
}

function People({ people }: Pick<Quality, 'people'>) {
  return (
    <section aria-labelledby="people-title">
      <h2 id="people-title">People</h2>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to be reached by keyboard */}
      <section class="wide" aria-label="People" tabIndex={0}>
        <table>
          <thead>
            <tr>
              {['Name', 'Answers', 'Known answers', 'Agrees with others', 'Reliable', 'Seconds', 'Left', ''].map(
                (title) => (title ? <th scope="col">{title}</th> : <td />),
              )}
            </tr>
          </thead>
          <tbody>
            {people.map((one) => (
              <tr>
                <th scope="row">{one.name}</th>
                <td>{one.answers}</td>
                <td>{one.gold.n === 0 ? '–' : `${share(one.gold.right)} of ${one.gold.n}`}</td>
                <td>{share(one.agreement.share)}</td>
                <td>{share(one.reliability)}</td>
                <td>{one.seconds === null ? '–' : one.seconds.toFixed(1)}</td>
                <td>{share(one.left.share)}</td>
                <td class="missing">{warningsOf(one).join('; ')}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </section>
    </section>
  );
}

function Spread({ balance }: Pick<Quality, 'balance'>) {
  return (
    <section aria-labelledby="balance-title">
      <h2 id="balance-title">What was asked of</h2>
      <div class="balances">
        {balance.map(({ by, rows }) => (
          <table>
            <caption>By {by}</caption>
            <tbody>
              {rows.map(({ name, items, answered }) => (
                <tr>
                  <th scope="row">{name}</th>
                  <td>
                    <progress value={answered} max={items} aria-label={`${answered} of ${items}, ${name}`} />
                  </td>
                  <td>
                    {answered} of {items}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        ))}
      </div>
    </section>
  );
}
