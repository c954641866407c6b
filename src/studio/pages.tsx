/** Which page an address shows. */

import { Chat } from './chat/chat.tsx';
import { Label } from './label/label.tsx';
import type { Person } from './page/api.ts';
import { People } from './projects/people.tsx';
import { Project } from './projects/project.tsx';
import { NewProject, Projects } from './projects/projects.tsx';
import { Decide } from './review/decide.tsx';
import { Quality } from './review/quality.tsx';

const ofProject = { label: Label, project: Project, quality: Quality, decide: Decide };

export function Page({ path, person }: { path: string; person: Person }) {
  const [, part = '', name] = /^#\/(\w+)(?:\/(.+))?$/.exec(path) ?? [];
  if (name !== undefined && part in ofProject) {
    const Shown = ofProject[part as keyof typeof ofProject];
    return <Shown key={path} project={decodeURIComponent(name)} person={person} />;
  }
  if (part === 'chat') return <Chat person={person} />;
  if (part === 'new') return <NewProject />;
  if (part === 'people') return <People person={person} />;
  return <Projects person={person} />;
}
