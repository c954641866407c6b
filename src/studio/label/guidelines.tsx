/** The guidelines that an annotator judges by: a new version shows itself, with what changed, before the next judgment. */
import { useEffect, useState } from 'preact/hooks';
import { inProject, json, type Person, type ProjectDetails, projectApi } from '../page/api.ts';
import { Difference } from '../page/difference.tsx';
import { ErrorNote } from '../page/error-note.tsx';
import { FormattedText } from '../page/markdown.tsx';
import { useWords } from '../words/words.ts';
import { bindings, useKeys } from './keys.ts';

type Guidelines = ProjectDetails['guidelines'];

interface KnownGuidelines {
  /** The version on the screen, which a judgment refers to. */
  shown: Guidelines;
  /** A newer version, to be read first: undefined while it is loaded. */
  next: Guidelines | undefined;
  /** Whether there is a newer version. */
  isOld: boolean;
  error: Error | undefined;
  /** Says that the newer version was read. */
  accept(): void;
}

const keyOf = (person: Pick<Person, 'id'>, project: string) => `heed guidelines ${person.id} ${project}`;

/** The version that this person saw last in this browser. */
function lastSeen(person: Pick<Person, 'id'>, project: string): Guidelines | undefined {
  const kept = localStorage.getItem(keyOf(person, project));
  return kept === null ? undefined : JSON.parse(kept);
}

function keepSeen(person: Pick<Person, 'id'>, project: string, guidelines: Guidelines): void {
  try {
    localStorage.setItem(keyOf(person, project), JSON.stringify(guidelines));
  } catch {
    // without storage, the next visit shows the latest version without saying what changed
  }
}

/** `latest` is the version that the studio named last, if it named one. */
export function useGuidelines(
  { id, guidelines }: Pick<ProjectDetails, 'id' | 'guidelines'>,
  person: Pick<Person, 'id'>,
  latest: number | undefined,
): KnownGuidelines {
  const [shown, setShown] = useState(() => lastSeen(person, id) ?? guidelines);
  const [next, setNext] = useState<Guidelines | undefined>(guidelines);
  const [error, setError] = useState<Error>();
  const newest = Math.max(guidelines.version, latest ?? 0);
  useEffect(() => keepSeen(person, id, shown), [shown]);
  useEffect(() => {
    if (newest <= (next?.version ?? 0)) return;
    setNext(undefined);
    json(projectApi.$get(inProject(id))).then(
      (details) => {
        setNext(details.guidelines);
        setError(undefined);
      },
      (failure) => setError(failure),
    );
  }, [newest]);
  const isOld = newest > shown.version;
  return {
    shown,
    next: isOld && next && next.version >= newest ? next : undefined,
    isOld,
    error,
    accept: () => next && setShown(next),
  };
}

/** Shows a newer version, until it was read. */
export function NewGuidelines({ shown, next, error, accept }: KnownGuidelines) {
  const words = useWords();
  useKeys((action) => {
    if (action !== 'send' || !next) return false;
    accept();
    return true;
  });
  if (error) return <ErrorNote error={error} />;
  if (!next) return <p class="quiet">{words.loading}</p>;
  return (
    <section class="new-guidelines" aria-labelledby="new-guidelines">
      <h2 id="new-guidelines">{words.newGuidelines(next.version)}</h2>
      <p class="quiet">{words.whatChanged}</p>
      <Difference from={shown.text} to={next.text} />
      <details>
        <summary>{words.wholeGuidelines}</summary>
        <FormattedText text={next.text || words.noGuidelines} />
      </details>
      <button type="button" class="primary" onClick={accept}>
        {words.haveRead} <kbd>{bindings().send}</kbd>
      </button>
    </section>
  );
}
