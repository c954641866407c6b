/** Which page an address shows. */
import type { Person } from './api.ts';
import { Chat } from './chat.tsx';
import { Decide } from './decide.tsx';
import { Label } from './label.tsx';
import { People } from './people.tsx';
import { Project } from './project.tsx';
import { NewProject, Projects } from './projects.tsx';
import { Quality } from './quality.tsx';

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
