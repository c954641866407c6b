/** heed feedback: items and judgments in a store. */
import { basename } from 'node:path';
import { type Command, Option } from 'commander';
import type { Reward } from '../../align/reward-functions/reward-function.ts';
import { membersOf } from '../../align/rewards/open.ts';
import { writeDataset } from '../../data/write.ts';
import { HeedError } from '../../error.ts';
import { joinProjects } from '../../feedback/members.ts';
import { addPerson, changeToken, findPerson, listPeople, type Person } from '../../feedback/people.ts';
import {
  archiveProject,
  createProject,
  deleteProject,
  findProject,
  type Project,
  type ProjectInput,
  settingsSchema,
} from '../../feedback/project.ts';
import {
  type Cost,
  countedJudgments,
  coverageOf,
  qualityOf,
  type SuggestionBias,
  type SuggestionShare,
} from '../../feedback/quality/quality.ts';
import { type PersonRole, roles } from '../../feedback/roles.ts';
import { atOnce, type Database, openDatabase } from '../../feedback/store/database.ts';
import { findTemplate, projectTemplates } from '../../feedback/templates.ts';
import { type ExportFormat, exportFormats, exportRows, type Merge, merges } from '../../feedback/transfer/export.ts';
import { countRows, importItems } from '../../feedback/transfer/import.ts';
import { createProgress, type Progress } from '../../run/progress.ts';
import { addFlags, settingsFrom } from '../program/flags.ts';
import { createOutput, type Output, table } from '../program/output.ts';
import { checking, UsageError } from '../program/usage.ts';
import { addKeyCommands, addSessionCommands } from './access.ts';
import { addAudit, addRetain } from './audit.ts';
import { addBackup, addRestore } from './backup.ts';
import { addPayments } from './payments.ts';
import { addPersonData } from './person-data.ts';
import { openMembers, prioritize, suggest } from './prioritize.ts';
import { type Common, projectOption, withStore } from './store.ts';
import {
  addExportTo,
  addImportFrom,
  type ExportToFlags,
  type ImportFromFlags,
  isFrom,
  isTo,
  runExportTo,
  runImportFrom,
} from './transfer.ts';

/** The default store. */
export const DEFAULT_STORE = 'feedback.db';

export const storeOption = () =>
  new Option('--store <path>', 'file of the store, or a postgres:// address').default(DEFAULT_STORE);

export const mergeOption = () =>
  new Option('--merge <how>', 'how several judgments of an item are merged').choices([...merges]).default('majority');

export function addFeedback(command: Command): void {
  addImport(command.command('import').description('add items from datasets to a project; creates it if needed'));
  addExport(
    command
      .command('export')
      .description('write judgments as a dataset: preferences, ratings, rankings, or the full record'),
  );
  addStats(command.command('stats').description('annotator agreement, reliability of each annotator, and progress'));
  addPayments(
    command
      .command('payments')
      .description('what each annotator has done, how long it took, and what it pays; with a file, as a table'),
  );
  addPrioritize(command.command('prioritize').description('put items first that a reward model is least sure of'));
  addSuggest(
    command.command('suggest').description('store which response a reward model prefers, for annotators to see'),
  );
  addArchive(command.command('archive').description('put a project away: its items are handed out no more'), {
    archived: true,
    text: 'is put away. Take it back with: heed feedback unarchive',
  });
  addArchive(command.command('unarchive').description('take a project back that was put away'), {
    archived: false,
    text: 'is back',
  });
  addDelete(command.command('delete').description('delete a project with its items, judgments and guidelines'));
  addUsers(command.command('users').description('manage people: list, add, join, token, remove'));
  addKeyCommands(command.command('keys').description('API keys of people for scripts: list, add, remove'));
  addSessionCommands(command.command('sessions').description('where people are signed in: list, end'));
  addPersonData(command.command('person').description('export or delete all that a store has of one person'));
  addRestore(command.command('restore').description('restore a backup into a new or empty store'));
  for (const one of command.commands) one.addOption(storeOption());
  const ofStore = (name: string, description: string) =>
    command
      .command(name)
      .description(description)
      .argument('[store]', 'file of the store, or a postgres:// address', DEFAULT_STORE);
  addBackup(ofStore('backup', 'write a backup of a store, which may be in use'));
  addAudit(ofStore('audit', 'list the audit log, or check that nobody has changed it'));
  addRetain(ofStore('retain', 'delete what is older than the retention rules of a store say, or set them'));
}

function addImport(command: Command): void {
  command.argument('<file...>', 'datasets; with --from, an export of another tool').addOption(projectOption());
  addFlags(command, settingsSchema);
  command
    .option('--gold', 'add gold items: the judgments in the file are right and measure reliability')
    .option(
      '--practiceItems',
      'add practice items: gold items that come first, with the right judgment shown afterwards',
    )
    .option('--votes-of <name>', 'record the judgments in the file under this name')
    .option('--guidelines <text>', 'guidelines for annotators, for a new project')
    .addOption(
      new Option('--template <name>', 'rubric that a new project begins with: settings and guidelines').choices(
        projectTemplates.map(({ name }) => name),
      ),
    )
    .addOption(
      new Option('--on-bad-row <what>', 'stop at a bad row, or skip it').choices(['error', 'skip']).default('error'),
    );
  addImportFrom(command);
  command.action(async (files: string[], flags: Common & ImportFlags & ImportFromFlags) => {
    const output = createOutput(flags);
    const template = findTemplate(flags.template ?? '');
    const settings = { ...template?.settings, ...(settingsFrom(command, settingsSchema) as ProjectInput) };
    flags.guidelines ??= template?.guidelines;
    if (isFrom(flags)) {
      await withStore(flags.store, (database) => runImportFrom(database, files, settings, flags, output));
      return;
    }
    checking(() => settingsSchema.parse(settings), settings);
    const { votesOf, gold, practiceItems: practice, onBadRow } = flags;
    const onNotice = (text: string) => void process.stderr.write(`${text}\n`);
    let progress: Progress | undefined;
    const done = await withStore(flags.store, async (database) => {
      const project = await projectFor(database, flags, settings);
      const total = await countRows(files);
      const onRows = (rows: number) => {
        if (rows === total && !progress) return; // too few for progress
        progress ??= createProgress({ total, unit: 'rows' });
        progress.update(rows);
      };
      return importItems(database, project, files, {
        gold,
        practice,
        annotator: votesOf,
        onBadRow,
        onNotice,
        onRows,
      });
    });
    progress?.done();
    output.say(
      table([
        ['added', `${done.added} items`],
        ['there already', String(done.known)],
        ...(done.votes > 0 ? [['votes', String(done.votes)] as [string, string]] : []),
        ...(done.bad > 0 ? [['left out', `${done.bad} bad rows`] as [string, string]] : []),
        ['judge them', `heed studio --store ${flags.store}`],
      ]),
    );
    output.result({ project: flags.project, ...done });
  });
}

interface ImportFlags {
  gold?: boolean;
  practiceItems?: boolean;
  votesOf?: string;
  guidelines?: string;
  template?: string;
  onBadRow: 'error' | 'skip';
}

/** The project with a name; created if needed. Settings for an existing project are an error. */
async function projectFor(
  database: Database,
  { project: name, guidelines }: Common & ImportFlags,
  settings: ProjectInput,
): Promise<Project> {
  const there = await database.query.selectFrom('projects').select('id').where('name', '=', name).executeTakeFirst();
  if (!there) return createProject(database, name, settings, { guidelines });
  const project = await findProject(database, name);
  const other = Object.entries(settings).find(
    ([key, value]) => JSON.stringify(project.settings[key as keyof Project['settings']]) !== JSON.stringify(value),
  );
  if (!other) return project;
  throw new HeedError(
    `The project "${name}" has ${other[0]} ${JSON.stringify(project.settings[other[0] as 'kind'])}, not ${JSON.stringify(other[1])}.`,
    {
      hint: 'Leave the setting out, or change it in the studio.',
    },
  );
}

function addExport(command: Command): void {
  command
    .argument('<file>', 'file to write: .jsonl, .json, .csv, .tsv or .parquet; with --to, a folder for some tools')
    .addOption(projectOption())
    .addOption(
      new Option('--format <name>', 'format of the rows (default: the first that fits the project)').choices([
        ...exportFormats,
      ]),
    )
    .addOption(mergeOption())
    .option('--with-gold', 'include gold items');
  addExportTo(command);
  command.action(async (file: string, flags: Common & ExportToFlags) => {
    const output = createOutput(flags);
    if (isTo(flags)) {
      await withStore(flags.store, async (database) =>
        runExportTo(database, await findProject(database, flags.project), file, flags, output),
      );
      return;
    }
    const { format, merge, withGold: gold } = flags;
    const rows = await withStore(flags.store, async (database) => {
      const project = await findProject(database, flags.project);
      return writeDataset(file, exportRows(database, project, { format, merge, gold }));
    });
    output.say(`${rows} rows in ${file}`);
    output.result({ project: flags.project, file, rows });
  });
}

function addStats(command: Command): void {
  command
    .addOption(projectOption())
    .option('--with-gold', 'count judgments of gold items into the agreement too')
    .action(async (flags: Common & { withGold?: boolean }) => {
      const output = createOutput(flags);
      await withStore(flags.store, async (database) => {
        const project = await findProject(database, flags.project);
        const { pay } = project.settings;
        const quality = qualityOf(await countedJudgments(database, project.id), { gold: flags.withGold, pay });
        const names = new Map((await listPeople(database)).map(({ id, name }) => [id, name]));
        const balance = await coverageOf(database, project);
        const people = quality.people.map((one) => ({ ...one, person: names.get(one.person)! }));
        printStats(output, project, { ...quality, people }, balance);
        output.result({ project: project.name, ...quality, people, consensus: quality.consensus.size, balance });
      });
    });
}

function printStats(
  output: Output,
  { settings }: Project,
  quality: ReturnType<typeof qualityOf>,
  balance: Awaited<ReturnType<typeof coverageOf>>,
): void {
  const { alpha, interval, items } = quality.alpha;
  const all = balance[0].rows.reduce((sum, row) => sum + row.items, 0);
  output.say(
    table([
      [
        'judgments',
        `${quality.answers} on ${quality.items} of ${all} items; the project asks for ${settings.overlap} per item`,
      ],
      [
        'agreement',
        Number.isNaN(alpha)
          ? 'no item was judged by two people yet'
          : `α ${alpha.toFixed(2)} (${interval.map((end) => end.toFixed(2)).join(' to ')}) on ${items} items`,
      ],
      ['disagreements', String(quality.disagreements.length)],
      ...suggestionRows(quality.suggestions),
      ...costRows(quality.cost),
      ...(quality.guidelines.length > 1
        ? [
            [
              'guidelines',
              `changed during judging: ${quality.guidelines.map(({ version, answers }) => `version ${version}, ${answers} judgments`).join('; ')}`,
            ] as [string, string],
          ]
        : []),
    ]),
  );
  for (const one of quality.people) {
    output.say(`\n${one.person}`);
    output.say(
      table([
        ['judgments', `${one.answers}${Number.isNaN(one.seconds) ? '' : `, ${one.seconds.toFixed(1)} s each`}`],
        ['gold items', one.gold.n === 0 ? 'none seen' : `${share(one.gold.right)} right of ${one.gold.n}`],
        [
          'agrees',
          one.agreement.n === 0
            ? 'nobody else judged the same items'
            : `with ${share(one.agreement.share)} of others’ judgments`,
        ],
        ...costRows(one.cost),
        ['reliable', Number.isNaN(one.reliability) ? '–' : `${share(one.reliability)}, estimated from the consensus`],
        ...(Math.abs(one.left.z) > 3
          ? [
              [
                'leans',
                `toward the ${one.left.share > 0.5 ? 'left' : 'right'}: ${share(Math.max(one.left.share, 1 - one.left.share))} of ${one.left.n}`,
              ] as [string, string],
            ]
          : []),
        ...(one.fatigue > 0.15
          ? [
              [
                'tires',
                `${share(one.fatigue)} less agreement with the consensus in the last third than in the first`,
              ] as [string, string],
            ]
          : []),
      ]),
    );
  }
}

/** How judgments follow a reward model, and what showing its preference does. */
function suggestionRows(suggestions: SuggestionBias | undefined): [string, string][] {
  if (!suggestions) return [];
  const { shown, hidden, difference } = suggestions;
  const between = (interval: readonly number[]) => `(${interval.map(share).join(' to ')})`;
  const followed = (part: SuggestionShare, where: string) =>
    part.n === 0 ? [] : [`${share(part.share)} ${between(part.interval)} of ${part.n} where it was ${where}`];
  const both = [...followed(shown, 'shown'), ...followed(hidden, 'hidden')].join(', ');
  const bias = `bias of showing it: ${share(difference.value)} ${between(difference.interval)}`;
  return [['suggestions', `followed by ${both}${Number.isNaN(difference.value) ? '' : `; ${bias}`}`]];
}

/** What judgments take and give. */
function costRows({ hours, perHour, bits, pricePerBit }: Cost): [string, string][] {
  if (hours === 0) return [];
  const time = `${perHour.toFixed(0)} judgments an hour over ${hours.toFixed(1)} h`;
  const given = Number.isNaN(bits) ? [] : [`${bits.toFixed(2)} bits each`];
  const price = Number.isFinite(pricePerBit) ? [`${pricePerBit.toFixed(2)} per bit`] : [];
  return [['cost', [time, ...given, ...price].join(', ')]];
}

const share = (value: number) => `${(100 * value).toFixed(0)} %`;

const REWARD = 'reward: folder of a reward model or an ensemble (several: comma-separated), or any other reward';

function addPrioritize(command: Command): void {
  command
    .addOption(projectOption())
    .requiredOption('--model <reward>', REWARD)
    .action(async (flags: Common & { model: string }) => {
      const output = createOutput(flags);
      const { items, members } = await scoring(flags, flags.model, prioritize);
      const how = members === 1 ? 'closest differences' : `widest disagreements of ${members}`;
      output.say(`${items} items, the ${how} first`);
      output.result({ project: flags.project, items, members });
    });
}

function addSuggest(command: Command): void {
  command
    .addOption(projectOption())
    .requiredOption('--reward <reward>', REWARD)
    .option('--by <name>', 'name that annotators see (default: the last part of --reward)')
    .action(async (flags: Common & { reward: string; by?: string }) => {
      const output = createOutput(flags);
      const by = flags.by ?? basename(flags.reward);
      const { items } = await scoring(flags, flags.reward, (database, project, members) =>
        suggest(database, project, members, by),
      );
      output.say(
        `${items} items have a suggestion by "${by}". Annotators see it as the setting "suggestions" says: after their own judgment, by default.`,
      );
      output.result({ project: flags.project, items, by });
    });
}

/** Opens rewards, and does something to a project with them. */
async function scoring(
  { store, project }: Common,
  rewards: string,
  use: (database: Database, project: Project, members: readonly Reward[]) => Promise<{ items: number }>,
): Promise<{ items: number; members: number }> {
  const members = await openMembers(rewards.split(',').flatMap((name) => membersOf(name.trim())));
  try {
    const { items } = await withStore(store, async (database) =>
      use(database, await findProject(database, project), members),
    );
    return { items, members: members.length };
  } finally {
    for (const member of members) member[Symbol.dispose]();
  }
}

function addArchive(command: Command, { archived, text }: { archived: boolean; text: string }): void {
  command.addOption(projectOption()).action(async (flags: Common) => {
    const output = createOutput(flags);
    await withStore(flags.store, async (database) =>
      archiveProject(database, await findProject(database, flags.project), archived, null),
    );
    output.say(`"${flags.project}" ${text}.`);
    output.result({ project: flags.project, archived });
  });
}

function addDelete(command: Command): void {
  command
    .addOption(projectOption())
    .requiredOption('--confirm <name>', 'the name of the project once more: nothing of it can be brought back')
    .action(async (flags: Common & { confirm: string }) => {
      const output = createOutput(flags);
      if (flags.confirm !== flags.project) {
        throw new UsageError(`--confirm: expected "${flags.project}", got "${flags.confirm}"`, {
          hint: `To keep its judgments, put it away instead: heed feedback archive --project ${flags.project}`,
        });
      }
      await withStore(flags.store, async (database) =>
        deleteProject(database, await findProject(database, flags.project), null),
      );
      output.say(`"${flags.project}" is deleted.`);
      output.result({ project: flags.project, deleted: true });
    });
}

function addUsers(command: Command): void {
  command
    .argument('[what]', 'list, add, join, token or remove', 'list')
    .argument('[name]', 'name of the person')
    .addOption(new Option('--role <role>', 'role of the person').choices([...roles]).default('annotator'))
    .option('--projects <names>', 'projects that an annotator sees, comma-separated, besides those they see already')
    .action(async (what: string, name: string | undefined, flags: Common & { role: PersonRole; projects?: string }) => {
      const output = createOutput(flags);
      await withStore(flags.store, async (database) => {
        if (what === 'list') {
          const people = await listPeople(database);
          output.say(
            people.length === 0
              ? 'Nobody yet.'
              : table(people.map(({ name, role, active }) => [name, `${role}${active ? '' : ', access revoked'}`])),
          );
          return output.result({ people: people.map(({ name, role, active }) => ({ name, role, active })) });
        }
        if (name === undefined)
          throw new HeedError(`Whom to ${what}?`, { hint: `For example: heed feedback users ${what} ada` });
        const projects = flags.projects?.split(',').map((one) => one.trim()) ?? [];
        if (what === 'join') {
          const person = await findPerson(database, name);
          await joinProjects(database, person, projects);
          output.say(`${person.name} sees ${projects.join(', ')} now.`);
          return output.result({ name: person.name, projects });
        }
        const { person, token } = await changed(database, what, name, flags.role, projects);
        output.say(
          token === undefined
            ? `${person.name} can no longer sign in; their judgments stay.`
            : `${person.name} signs in with this token, which is not shown again:\n${token}`,
        );
        output.result({ name: person.name, role: person.role, ...(token !== undefined && { token }) });
      });
    });
}

async function changed(
  database: Database,
  what: string,
  name: string,
  role: PersonRole,
  projects: readonly string[],
): Promise<{ person: Person; token?: string }> {
  if (what === 'add') {
    return atOnce(database.query, async (query) => {
      const within = { ...database, query };
      const added = await addPerson(within, name, role);
      await joinProjects(within, added.person, projects);
      return added;
    });
  }
  if (what !== 'token' && what !== 'remove') {
    throw new HeedError(`Unknown action "${what}".`, {
      hint: 'Expected list, add, join, token or remove.',
    });
  }
  const person = await findPerson(database, name);
  return { person, token: await changeToken(database, person, what === 'token' ? 'new' : null) };
}
