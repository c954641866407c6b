/** A project's pages for annotators: in its language, and in words that fit the width. */
import type { ComponentChildren } from 'preact';
import { inProject, json, type ProjectDetails, projectApi } from '../page/api.ts';
import { Loaded, useResource } from '../page/load.tsx';
import { stacked, useNarrow } from '../words/places.ts';
import { WordsProvider, words } from '../words/words.ts';

/** Loads a project, and shows `children` of it. */
export function InItsLanguage({
  project: name,
  children,
}: {
  project: string;
  children: (details: ProjectDetails) => ComponentChildren;
}) {
  const project = useResource(() => json(projectApi.$get(inProject(name))), name);
  const narrow = useNarrow();
  return (
    <Loaded of={project}>
      {(details) => (
        <WordsProvider value={narrow ? stacked(words[details.settings.language]) : words[details.settings.language]}>
          {children(details)}
        </WordsProvider>
      )}
    </Loaded>
  );
}
