/** Adjudication: a reviewer decides an item that people judged differently, without knowing who said what. */
import { useMemo, useState } from 'preact/hooks';
import { percent } from '../../percent.ts';
import { describeJudgment } from '../label/describe.ts';
import { InWordsOf } from '../label/in-its-language.tsx';
import { Judging } from '../label/judging.tsx';
import { bindings, useKeys } from '../label/keys.ts';
import {
  type Disagreement,
  inProject,
  type JudgmentOrSkip,
  json,
  type ProjectDetails,
  projectApi,
} from '../page/api.ts';
import { ErrorNote } from '../page/error-note.tsx';
import { OptionsView, PromptView } from '../page/item.tsx';
import { Loaded, useResource } from '../page/load.tsx';
import { FormattedText } from '../page/markdown.tsx';
import { useWords } from '../words/words.ts';

/** The page on which a reviewer decides disagreements. */
export function AdjudicationPage({ project: name }: { project: string }) {
  const project = useResource(() => json(projectApi.$get(inProject(name))), name);
  const open = useResource<Disagreement[]>(() => json(projectApi.disagreements.$get(inProject(name))), name);
  return (
    <main class="label">
      <h1>Adjudicate: {name}</h1>
      <Loaded of={project}>
        {(details) => (
          <Loaded of={open}>
            {(all) => (
              <InWordsOf language="en">
                <Disagreements project={details} all={all} />
              </InWordsOf>
            )}
          </Loaded>
        )}
      </Loaded>
    </main>
  );
}

function Disagreements({ project, all }: { project: ProjectDetails; all: readonly Disagreement[] }) {
  const [at, setAt] = useState(0);
  const [decided, setDecided] = useState<JudgmentOrSkip>();
  const [seen, setSeen] = useState(false);
  const [error, setError] = useState<Error>();
  const current = all[at];
  const shown = useMemo(() => (current ? shuffled(current.item.content.options.length) : []), [current]);
  const go = (to: number) => {
    setDecided(undefined);
    setSeen(false);
    setError(undefined);
    setAt(to);
  };
  useKeys((action) => {
    if (decided === undefined || action !== 'send') return false;
    go(at + 1);
    return true;
  });
  if (!current) return <Nothing project={project} isDone={all.length > 0} />;
  const { item } = current;
  const decide = (judgment: JudgmentOrSkip) => {
    const body = { id: crypto.randomUUID(), item: item.id, judgment, shown };
    setError(undefined);
    json(projectApi.adjudicate.$post({ ...inProject(project.name), json: body })).then(
      () => setDecided(judgment),
      setError,
    );
  };
  return (
    <>
      <p role="status">{all.length - at} to decide.</p>
      <details class="guidelines">
        <summary>Guidelines, version {project.guidelines.version}</summary>
        <FormattedText text={project.guidelines.text || 'This project has no guidelines yet.'} />
      </details>
      <PromptView prompt={item.content.prompt} />
      <OptionsView key={item.id} content={item.content} shown={shown} />
      {decided || seen ? (
        <Evidence {...current} shown={shown} decided={decided} />
      ) : (
        <p class="quiet">
          You see what others said once you have decided. The options are in an order of your own.{' '}
          <button type="button" class="plain" onClick={() => setSeen(true)}>
            Show it now
          </button>
        </p>
      )}
      {error && <ErrorNote error={error} />}
      {decided ? (
        <div class="row line">
          <button type="button" class="primary" onClick={() => go(at + 1)}>
            Next <kbd>{bindings().send}</kbd>
          </button>
          <button type="button" onClick={() => setDecided(undefined)}>
            Decide again
          </button>
        </div>
      ) : (
        <>
          <Judging
            key={`judgment ${item.id}`}
            settings={project.settings}
            content={item.content}
            shown={shown}
            onJudgment={decide}
            noSkip
          />
          <button type="button" class="plain" onClick={() => go(at + 1)}>
            Leave open
          </button>
        </>
      )}
    </>
  );
}

/** An order of options that has nothing to do with the one that annotators saw. */
function shuffled(count: number): number[] {
  const order = Array.from({ length: count }, (_, i) => i);
  const draws = crypto.getRandomValues(new Uint32Array(count));
  for (let i = count - 1; i > 0; i--) {
    const j = draws[i] % (i + 1);
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order;
}

function Nothing({ project, isDone }: { project: ProjectDetails; isDone: boolean }) {
  if (project.settings.kind === 'rating') {
    return <p class="empty">Ratings are not decided one by one: the page of agreement shows who rates differently.</p>;
  }
  return (
    <section class="empty">
      <h2>{isDone ? 'All disagreements are decided. Thank you.' : 'No disagreements.'}</h2>
      <p class="quiet">Items appear here when people judge them differently and no reviewer has decided.</p>
    </section>
  );
}

/** What annotators said, who is how reliable, and what is likeliest. */
function Evidence({
  judgments,
  likeliest,
  next,
  shown,
  decided,
}: Disagreement & { shown: readonly number[]; decided: JudgmentOrSkip | undefined }) {
  const words = useWords();
  const say = (judgment: JudgmentOrSkip) => describeJudgment(judgment, shown, words);
  return (
    <section class="evidence" aria-labelledby="evidence-title">
      {decided && <p role="status">You decided: {say(decided)}.</p>}
      <h2 id="evidence-title">
        Likeliest: {say(likeliest.judgment)}, {percent(likeliest.probability, 0)}
      </h2>
      {next && (
        <p class="quiet">
          Next: {say(next.judgment)}, {percent(next.probability, 0)}. Judgments weigh by how often each annotator is
          right.
        </p>
      )}
      <ul class="judgments" aria-label="Judgments">
        {judgments.map(({ name, judgment, reliability }) => (
          <li>
            <strong>{name}</strong> {say(judgment)}
            {reliability !== null && <span class="quiet">, right {percent(reliability, 0)} of the time</span>}
            {'reason' in judgment && judgment.reason && <span class="quiet"> “{judgment.reason}”</span>}
          </li>
        ))}
      </ul>
    </section>
  );
}
