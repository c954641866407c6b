/** The agreement report of a project, in tables and plain words. */
import { raterAdvice } from '../../feedback/quality/rater-advice.ts';
import { FALSE_ALARMS, isStrong } from '../../feedback/quality/sequential.ts';
import { percent, percents } from '../../percent.ts';
import { inProject, json, projectApi, type QualityReport } from '../page/api.ts';
import { Loaded, useResource } from '../page/load.tsx';
import { WideTable } from '../page/parts.tsx';
import { alphaInWords } from './alpha.ts';
import { failsGold } from './gold.ts';

const share = (value: number | null): string => percent(value, 0);
const number = (value: number | null): string => (value === null ? '–' : value.toFixed(2));

/** The page of the agreement report. */
export function AgreementPage({ project }: { project: string }) {
  const report = useResource<QualityReport>(() => json(projectApi.quality.$get(inProject(project))), project);
  return (
    <main class="manage">
      <h1>Agreement: {project}</h1>
      <Loaded of={report}>
        {(loaded) => (
          <>
            <p class="quiet">
              As of {new Date(loaded.at).toLocaleString()}. Gold items and reviewers’ decisions are not counted.
            </p>
            <Agreement {...loaded} />
            <Annotators people={loaded.people} cost={loaded.cost} />
            <Ratings people={loaded.people} aspects={loaded.aspects} />
            <CostTable {...loaded} />
            <Suggestions {...loaded} />
            <Coverage balance={loaded.balance} />
          </>
        )}
      </Loaded>
    </main>
  );
}

function Agreement({
  judgments,
  items,
  alpha,
  named,
  aspects,
  cohen,
  fleiss,
  undecided,
  judged,
  guidelines,
}: QualityReport) {
  const rated = aspects.filter(({ ratings }) => ratings > 0);
  const rows: [string, string, string][] = [
    ['Judgments', `${judgments} of ${items} items`, ''],
    // ratings alone have no choices to agree on
    ...(judged === 0 && rated.length > 0
      ? []
      : ([
          [
            named ? 'Krippendorff’s α, options in both orders' : 'Krippendorff’s α',
            withInterval(alpha),
            alphaInWords(alpha.alpha),
          ],
          ...(named
            ? [
                [
                  `Krippendorff’s α, ${named.names.join(' or ')}`,
                  withInterval(named),
                  `the same judgments by name: that all prefer ${named.names[0]}, or ${named.names[1]}, counts as chance`,
                ],
              ]
            : []),
          ['Cohen’s κ', number(cohen), 'mean over pairs of annotators with five items or more in common'],
          ['Fleiss’ κ', number(fleiss), 'if all items have equally many judgments'],
          ['Disagreements', String(undecided), 'not decided by a reviewer yet'],
        ] as [string, string, string][])),
    ...rated.map(({ name, level, alpha }): [string, string, string] => [
      `Krippendorff’s α, ${name}`,
      withInterval(alpha),
      `${alphaInWords(alpha.alpha)} (${level})`,
    ]),
  ];
  return (
    <section aria-labelledby="agreement-title">
      <h2 id="agreement-title">Agreement</h2>
      {guidelines.length > 1 && (
        <p class="warning">
          The guidelines changed during labeling:{' '}
          {guidelines.map(({ version, judgments }) => `version ${version}, ${judgments} judgments`).join('; ')}.
        </p>
      )}
      <WideTable
        label="Table of agreement"
        rows={rows.map(([name, value, meaning]) => [name, value, <span class="quiet">{meaning}</span>])}
      />
      <p class="quiet">
        α is 1 where all agree, and 0 where they agree as often as by chance. By chance, each pair of options counts in
        both orders: which one the file lists first changes nothing.
      </p>
    </section>
  );
}

const withInterval = ({ alpha, interval: [low, high] }: QualityReport['alpha']): string =>
  alpha === null ? '–' : `${number(alpha)} (${number(low)} to ${number(high)})`;

/** Share of the mean information below which a project that asks until it is certain gives an annotator items last. */
const LITTLE = 0.3;

/** Judgments from which the information of an annotator is known well enough to say so. */
const MANY = 30;

function warningsOf(
  { judgments, left, change, gold, seconds, cost }: QualityReport['people'][number],
  all: QualityReport['cost'],
): string[] {
  return [
    ...(isStrong(left.evidence) ? [`chooses the left ${share(left.share)} of the time`] : []),
    ...(change && isStrong(change.evidence)
      ? [
          `agrees with the consensus ${share(change.before)} until judgment ${change.at}, and ${share(change.after)} since`,
        ]
      : []),
    ...(failsGold(gold) ? ['fails many gold items'] : []),
    ...(seconds !== null && seconds < 1.5 ? ['faster than the text can be read'] : []),
    ...(judgments >= MANY && cost.bits !== null && all.bits !== null && cost.bits < LITTLE * all.bits
      ? ['gives much less information than others']
      : []),
  ];
}

function Annotators({ people, cost }: Pick<QualityReport, 'people' | 'cost'>) {
  return (
    <section aria-labelledby="annotators-title">
      <h2 id="annotators-title">Annotators</h2>
      <p class="quiet">
        A side that is favored, and a change over time, are named only if a sequential test says so: of annotators
        without either, it names at most {share(FALSE_ALARMS)}, however often you look.
      </p>
      <WideTable
        label="Table of annotators"
        columns={['Name', 'Judgments', 'Gold items', 'Agreement', 'Reliability', 'Seconds', 'Left', '']}
        rows={people.map((one) => [
          ...[one.name, one.judgments, one.gold.n === 0 ? '–' : `${share(one.gold.right)} of ${one.gold.n}`],
          ...[share(one.agreement.share), share(one.reliability)],
          ...[one.seconds === null ? '–' : one.seconds.toFixed(1), share(one.left.share)],
          <span class="missing">{warningsOf(one, cost).join('; ')}</span>,
        ])}
      />
    </section>
  );
}

const TENTHS = { minimumFractionDigits: 1, maximumFractionDigits: 1 };
const signed = (value: number | null): string =>
  value === null ? '–' : value.toLocaleString('en', { ...TENTHS, signDisplay: 'exceptZero' });
const points = (value: number | null): string => (value === null ? '–' : value.toLocaleString('en', TENTHS));

/** How annotators use the scales, compared with the others who rated the same items. */
function Ratings({ people, aspects }: Pick<QualityReport, 'people' | 'aspects'>) {
  const scales = new Map(aspects.map(({ name, scale }) => [name, scale]));
  const rows = people.flatMap(({ name, ratings }) => ratings.map((one) => ({ name, ...one })));
  if (rows.length === 0) return null;
  return (
    <section aria-labelledby="ratings-title">
      <h2 id="ratings-title">Ratings</h2>
      <p class="quiet">
        On items that others rated too. Difference: how many points higher than the others’ mean. Spread: standard
        deviation of the ratings. Correlation: with the others’ mean.
      </p>
      <WideTable
        label="Table of ratings"
        columns={['Name', 'Aspect', 'Items', 'Difference', 'Spread', 'Others’ spread', 'Correlation', '']}
        rows={rows.map((one) => [
          ...[one.name, one.aspect, one.n],
          <span class="figure">
            {signed(one.difference)}
            {one.interval[0] !== null && ` (${signed(one.interval[0])} to ${signed(one.interval[1])})`}
          </span>,
          ...[points(one.spread), points(one.othersSpread), number(one.correlation)],
          raterAdvice(one, scales.get(one.aspect)!).map(({ finding, action }) => (
            <p class="advice">
              <span class="missing">{finding}.</span> {action}
            </p>
          )),
        ])}
      />
    </section>
  );
}

/** What judgments take and give. The order is that of names: costs depend on the items too. */
function CostTable({ cost, people }: Pick<QualityReport, 'cost' | 'people'>) {
  if (cost.hours === 0) return null;
  const rows = people.map((one) => ({ name: one.name, ...one.cost })).sort((a, b) => a.name.localeCompare(b.name));
  const priced = cost.pricePerBit !== null;
  return (
    <section aria-labelledby="cost-title">
      <h2 id="cost-title">Cost</h2>
      <p class="quiet">
        {number(cost.hours)} hours of judging. A bit is what a fair coin tells: a judgment that is always right about
        two options has one{priced ? '' : '. Set the pay per hour in the settings for prices'}.
      </p>
      <WideTable
        label="Table of costs"
        columns={['', 'Judgments per hour', 'Seconds each', 'Bits each', ...(priced ? ['Price per bit'] : [])]}
        rows={[{ name: 'All', ...cost }, ...rows].map(({ name, perHour, seconds, bits, pricePerBit }) => [
          ...[name, perHour === null ? '–' : Math.round(perHour), seconds === null ? '–' : seconds.toFixed(1)],
          ...[number(bits), ...(priced ? [number(pricePerBit)] : [])],
        ])}
      />
    </section>
  );
}

const biasRow = ({ value, interval }: NonNullable<QualityReport['suggestions']>['difference']) => [
  ...['Bias of showing it', `${share(value)} (${percents(interval, 0)})`],
  <span class="quiet">
    {(interval[0] ?? 0) > 0 ? 'annotators follow what they are shown: hide it' : 'may be zero'}
  </span>,
];

/** Whether showing what a model suggests changes what annotators say. */
function Suggestions({ suggestions }: Pick<QualityReport, 'suggestions'>) {
  if (!suggestions) return null;
  const { shown, hidden, difference } = suggestions;
  const rows = [
    ['Shown before the judgment', shown] as const,
    ['Hidden until after the judgment', hidden] as const,
  ].filter(([, { n }]) => n > 0);
  return (
    <section aria-labelledby="suggestions-title">
      <h2 id="suggestions-title">Suggestions</h2>
      <p class="quiet">How often annotators say what the model suggests, with 95 % intervals.</p>
      <WideTable
        label="Table of suggestions"
        rows={[
          ...rows.map(([name, { share: value, interval, n }]) => [
            ...[name, `${share(value)} (${percents(interval, 0)})`],
            <span class="quiet">{n} judgments</span>,
          ]),
          ...(difference.value === null ? [] : [biasRow(difference)]),
        ]}
      />
    </section>
  );
}

function Coverage({ balance }: Pick<QualityReport, 'balance'>) {
  return (
    <section aria-labelledby="coverage-title">
      <h2 id="coverage-title">Coverage</h2>
      <div class="balances">
        {balance.map(({ by, rows }) => (
          <WideTable
            label={`By ${by}`}
            columns={[`By ${by}`, '', '']}
            rows={rows.map(({ name, items, answered }) => [
              name,
              <progress value={answered} max={items} aria-label={`${answered} of ${items}, ${name}`} />,
              `${answered} of ${items}`,
            ])}
          />
        ))}
      </div>
    </section>
  );
}
