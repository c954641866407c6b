/**
 * Which files of tests begin first. Vitest knows how long each takes only where it ran them before: elsewhere it begins with
 * those of most text, and a long one of little text would run alone at the end.
 */
import { relative } from 'node:path';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Those that take longest, as docs/lab/tests.md has it, and those that wait most. */
const longest = [
  'site',
  'install',
  'programs',
  'teaching-room',
  'page-engine',
  'studio-kinds',
  'studio-runs',
  'agent-examples',
  'ask-people',
  'studio-page',
  'serve-jobs',
  'examples',
  'human-teacher',
  'readme',
].map((name) => `test/${name}.test.ts`);

export default class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const place = (file: TestSpecification) => {
      const path = relative(this.ctx.config.root, file.moduleId).replaceAll('\\', '/');
      const found = longest.indexOf(path);
      return found < 0 ? longest.length : found;
    };
    const sorted = await super.sort(files);
    const projects = [...new Set(sorted.map(({ project }) => project.name))];
    // workers are of one project: they begin anew where the next file is of another
    return projects.flatMap((name) =>
      sorted.filter(({ project }) => project.name === name).sort((a, b) => place(a) - place(b)),
    );
  }
}
