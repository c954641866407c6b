/** Adjudication: a reviewer sees an item with everybody's judgments, and decides it. */
import { useState } from 'preact/hooks';
import { percent } from '../../percent.ts';
import { describeJudgment } from '../label/describe.ts';
import { Judging } from '../label/judging.tsx';
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

/** The page on which a reviewer decides disagreements. */
export function AdjudicationPage({ project: name }: { project: string }) {
  const project = useResource(() => json(projectApi.$get(inProject(name))), name);
  const open = useResource<Disagreement[]>(() => json(projectApi.disagreements.$get(inProject(name))), name);
  return (
    <main class="label">
      <h1>Adjudicate: {name}</h1>
      <Loaded of={project}>
        {(details) => <Loaded of={open}>{(all) => <Disagreements project={details} all={all} />}</Loaded>}
      </Loaded>
    </main>
  );
}

function Disagreements({ project, all }: { project: ProjectDetails; all: readonly Disagreement[] }) {
  const [at, setAt] = useState(0);
  const [error, setError] = useState<Error>();
  const current = all[at];
  if (!current)
    return (
      <p class="quiet">
        {project.settings.kind === 'rating'
          ? 'Ratings are not decided one by one: the page of agreement says who rates unlike others.'
          : all.length === 0
            ? 'No disagreements.'
            : 'All disagreements are decided. Thank you.'}
      </p>
    );
  const { item, judgments, likeliest, next } = current;
  const shown = item.content.options.map((_, i) => i);
  const decide = (judgment: JudgmentOrSkip) => {
    const body = { id: crypto.randomUUID(), item: item.id, judgment, shown };
    setError(undefined);
    json(projectApi.adjudicate.$post({ ...inProject(project.name), json: body })).then(() => setAt(at + 1), setError);
  };
  return (
    <>
      <p role="status">{all.length - at} to decide.</p>
      <PromptView prompt={item.content.prompt} />
      <OptionsView key={item.id} content={item.content} shown={shown} />
      <section class="evidence" aria-labelledby="evidence-title">
        <h2 id="evidence-title">
          Likeliest: {describeJudgment(likeliest.judgment, shown)}, {percent(likeliest.probability, 0)}
        </h2>
        {next && (
          <p class="quiet">
            Next: {describeJudgment(next.judgment, shown)}, {percent(next.probability, 0)}. Judgments weigh by how often
            each annotator is right.
          </p>
        )}
        <ul class="judgments" aria-label="Judgments">
          {judgments.map(({ name, judgment, reliability }) => (
            <li>
              <strong>{name}</strong> {describeJudgment(judgment, shown)}
              {reliability !== null && <span class="quiet">, right {percent(reliability, 0)} of the time</span>}
              {'reason' in judgment && judgment.reason && <span class="quiet"> “{judgment.reason}”</span>}
            </li>
          ))}
        </ul>
      </section>
      {error && <ErrorNote error={error} />}
      <Judging
        key={`judgment ${item.id}`}
        settings={project.settings}
        content={item.content}
        shown={shown}
        onJudgment={decide}
        noSkip
      />
      <button type="button" class="plain" onClick={() => setAt(at + 1)}>
        Leave open
      </button>
    </>
  );
}
