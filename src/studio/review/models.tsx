/** Models against each other: win rates and Bradley–Terry scores, as a table that one could publish. */
import { percent, percents } from '../../percent.ts';
import { inProject, json, projectApi, type QualityReport } from '../page/api.ts';
import { Loaded, useAction, useResource } from '../page/load.tsx';
import { WideTable } from '../page/parts.tsx';

type Scores = NonNullable<QualityReport['models']>;

/** The page of the models that a project compares. */
export function ModelsPage({ project }: { project: string }) {
  const report = useResource<QualityReport>(() => json(projectApi.quality.$get(inProject(project))), project);
  return (
    <main class="manage">
      <h1>Models in {project}</h1>
      <Loaded of={report}>{({ models }) => (models ? <Arena {...models} /> : <NoModels />)}</Loaded>
    </main>
  );
}

function NoModels() {
  return (
    <section class="empty">
      <h2>No judged item names its models yet</h2>
      <p>
        Name what each option comes from, in the metadata of pairs and rankings, in the order of the options. This page
        then ranks the models, with intervals.
      </p>
      <pre>
        <code>{'{"prompt": "…", "responses": ["…", "…"], "metadata": {"models": ["sft-1", "dpo-2"]}}'}</code>
      </pre>
    </section>
  );
}

const elo = (value: number): string => Math.round(value).toLocaleString('en', { signDisplay: 'exceptZero' });
const eloRange = ([low, high]: readonly [number, number]): string => `${elo(low)} to ${elo(high)}`;

function Arena({ models, pairs, connected }: Scores) {
  const { run, note } = useAction();
  const copy = () =>
    run(async () => {
      await navigator.clipboard.writeText(markdownOf(models));
      return 'Copied.';
    });
  return (
    <>
      {!connected && (
        <p class="warning">
          No chain of comparisons connects all of these models: compare scores only of models that were judged against
          each other, directly or by others between them.
        </p>
      )}
      <section aria-labelledby="scores-title">
        <h2 id="scores-title">Scores</h2>
        <Tracks models={models} />
        <p class="quiet">
          Bradley–Terry scores in Elo points, with 95 % intervals: 0 is the mean of these models, and 400 more means
          odds of 10 to 1. Each item counts once, however many people judged it. Ties and “both bad” are half a win.
          Gold items are left out. A rank is shared where intervals overlap.
        </p>
        <WideTable
          label="Table of models"
          columns={['Rank', 'Model', 'Score', '95 % interval', 'Wins', '95 % interval', 'Items']}
          headAt={1}
          rows={models.map(({ rank, name, score, scoreInterval, winRate, interval, items }) => [
            ...[rank, name, elo(score), <span class="figure">{eloRange(scoreInterval)}</span>],
            ...[percent(winRate, 0), <span class="figure">{percents(interval, 0)}</span>, items],
          ])}
        />
        <button type="button" onClick={copy}>
          Copy as Markdown
        </button>
        {note}
      </section>
      <section aria-labelledby="pairs-title">
        <h2 id="pairs-title">Two by two</h2>
        <WideTable
          label="Table of pairs of models"
          columns={['Models', 'The first wins', '95 % interval', 'Items']}
          rows={pairs.map(({ names: [one, other], share, interval, items }) => [
            ...[`${one} against ${other}`, percent(share, 0)],
            ...[<span class="figure">{percents(interval, 0)}</span>, items],
          ])}
        />
      </section>
    </>
  );
}

/** Each score as a dot on its interval. The best two have the colors of a pair. */
export function Tracks({ models }: Pick<Scores, 'models'>) {
  const [low, high] = [
    Math.min(...models.map(({ scoreInterval }) => scoreInterval[0])),
    Math.max(...models.map(({ scoreInterval }) => scoreInterval[1])),
  ];
  const at = (value: number) => 4 + (92 * (value - low)) / Math.max(high - low, 1);
  return (
    <div class="arena" aria-hidden="true">
      {models.map(({ name, score, scoreInterval }, i) => (
        <>
          <span class="name">{name}</span>
          <svg aria-hidden="true" class={['a', 'b'][i]} viewBox="0 0 100 10" preserveAspectRatio="none">
            <line class="middle" x1={at(0)} x2={at(0)} y1={0} y2={10} />
            <line x1={at(scoreInterval[0])} x2={at(scoreInterval[1])} y1={5} y2={5} />
            <line class="score" x1={at(score)} x2={at(score)} y1={5} y2={5} />
          </svg>
          <span class="points">{elo(score)}</span>
        </>
      ))}
    </div>
  );
}

/** The table for a paper or a README. */
function markdownOf(models: Scores['models']): string {
  const rows = models.map(({ rank, name, score, scoreInterval, winRate, interval, items }) => [
    ...[rank, name.replaceAll('|', '\\|'), `${elo(score)} (${eloRange(scoreInterval)})`],
    ...[`${percent(winRate, 0)} (${percents(interval, 0)})`, items],
  ]);
  const lines = [
    ['Rank', 'Model', 'Score (95 %)', 'Wins (95 %)', 'Items'],
    ['--:', '---', '--:', '--:', '--:'],
    ...rows,
  ];
  return `${lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n')}\n`;
}
