import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import {
  addPerson,
  assignItems,
  findProject,
  listPeople,
  membersOf,
  openDatabase,
  recordJudgment,
} from '../src/feedback/index.ts';
import { call, heed, ownFolder } from './support/heed.ts';
import { sharedPostgres } from './support/postgres.ts';

const folder = ownFolder();
const postgres = await sharedPostgres();
const run = (...args: string[]) => call(['feedback', ...args], folder.path);
const rowsIn = (name: string) =>
  readFileSync(join(folder.path, name), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
const write = (name: string, rows: readonly object[]) =>
  writeFileSync(join(folder.path, name), rows.map((row) => `${JSON.stringify(row)}\n`).join(''));

const pairs = Array.from({ length: 30 }, (_, i) => ({
  prompt: `Question ${i}?`,
  chosen: `Good answer ${i}.`,
  rejected: `Bad answer ${i}.`,
  source: i % 2 === 0 ? 'web' : 'book',
}));

describe('a project of pairs', () => {
  it('is imported once, answered, told about, exported and brought into another store', async () => {
    write('pairs.jsonl', pairs);
    write(
      'known.jsonl',
      pairs.slice(0, 4).map((row) => ({ ...row, prompt: `Known: ${row.prompt}` })),
    );
    const first = await run('import', 'pairs.jsonl', '--project', 'p', '--overlap', '2', '--json');
    expect(JSON.parse(first.stdout)).toEqual({ project: 'p', added: 30, known: 0, judgments: 0, bad: 0 });
    const again = await run('import', 'pairs.jsonl', '--project', 'p', '--json');
    expect(JSON.parse(again.stdout)).toMatchObject({ added: 0, known: 30 });
    expect(JSON.parse((await run('import', 'known.jsonl', '--project', 'p', '--gold', '--json')).stdout)).toMatchObject(
      { added: 4 },
    );

    const database = await openDatabase(join(folder.path, 'feedback.db'));
    const project = await findProject(database, 'p');
    const { content } = (await assignItems(database, project, (await addPerson(database, 'peek')).person.id))[0].item;
    expect(content.options).toHaveLength(2);
    const sides = new Set<string>();
    for (const name of ['ada', 'ben']) {
      const { person } = await addPerson(database, name);
      for (let i = 0; ; i++) {
        const [next] = await assignItems(database, project, person.id);
        if (!next) break;
        const good = next.item.content.options.findIndex(
          (option) => option.kind === 'text' && option.text.startsWith('Good'),
        );
        sides.add(`${good}`);
        const choice = name === 'ben' && i % 5 === 0 ? 'tie' : good === 0 ? 'first' : 'second';
        const judgment = { kind: 'pair' as const, choice: choice as 'first', reason: `because ${i}` };
        await recordJudgment(database, project, person.id, {
          id: `${name}-${i}`,
          item: next.item.id,
          judgment,
          shown: next.shown,
          duration: 1500,
        });
      }
    }
    await database.close();
    expect(sides.size).toBe(2); // the chosen is not always the first

    const stats = JSON.parse((await run('stats', '--project', 'p', '--json')).stdout);
    expect(stats.people.map(({ person }: { person: string }) => person).sort()).toEqual(['ada', 'ben']);
    expect(stats.disagreements.length).toBeGreaterThan(3);
    const told = (await run('stats', '--project', 'p')).stdout;
    for (const text of ['α', 'ada', 'gold items', 'reliable']) expect(told).toContain(text);

    expect((await run('export', 'out.jsonl', '--project', 'p', '--merge', 'each', '--json')).code).toBe(0);
    const rows = rowsIn('out.jsonl');
    expect(rows.length).toBeGreaterThan(40);
    for (const { prompt, chosen, rejected, annotators, source } of rows) {
      expect(prompt).toMatch(/^Question/);
      expect(chosen).toMatch(/^Good/);
      expect(rejected).toMatch(/^Bad/);
      expect(['web', 'book']).toContain(source);
      expect(annotators).toHaveLength(1);
    }
    await run('export', 'agreed.jsonl', '--project', 'p');
    expect(rowsIn('agreed.jsonl').length).toBeLessThan(30);
    await run(
      'export',
      'unpaired.parquet',
      '--project',
      'p',
      '--format',
      'unpaired-preference',
      '--merge',
      'consensus',
    );
    const checked = await call(['data', 'check', 'unpaired.parquet', '--json'], folder.path);
    expect(JSON.parse(checked.stdout)).toMatchObject({
      bad: [],
      formats: { 'unpaired-preference': expect.any(Number) },
    });

    expect((await run('export', 'judgments.jsonl', '--project', 'p', '--format', 'judgments')).code).toBe(0);
    for (const _ of [1, 2]) {
      expect(
        (await run('import', 'judgments.jsonl', '--project', 'p', '--overlap', '2', '--store', 'other.db')).code,
      ).toBe(0);
    }
    const moved = JSON.parse((await run('stats', '--project', 'p', '--store', 'other.db', '--json')).stdout);
    expect(moved.alpha.alpha).toBeCloseTo(stats.alpha.alpha, 12);
    expect(moved.judgments).toBe(stats.judgments);
  });

  it('says what is wrong, and changes nothing', async () => {
    write('bad.jsonl', [pairs[0], { prompt: 'no judgments' }]);
    const bad = await run('import', 'bad.jsonl', '--project', 'q', '--store', 'bad.db');
    expect(bad).toMatchObject({ code: 1, stderr: expect.stringContaining('"bad.jsonl", line 2') });
    const skipped = await run(
      'import',
      'bad.jsonl',
      '--project',
      'q',
      '--store',
      'bad.db',
      '--on-bad-row',
      'skip',
      '--json',
    );
    expect(JSON.parse(skipped.stdout)).toMatchObject({ added: 1, bad: 1 });
    const cases: [string[], number, string][] = [
      [['stats', '--project', 'none', '--store', 'bad.db'], 1, 'Projects in this store: q.'],
      [['import', 'bad.jsonl', '--project', 'q', '--store', 'bad.db', '--overlap', '3'], 1, 'has overlap 1, not 3'],
      [['import', 'bad.jsonl', '--project', 'q', '--overlap', '0'], 2, '--overlap'],
      [
        ['export', 'x.jsonl', '--project', 'q', '--store', 'bad.db', '--format', 'ranking'],
        1,
        'Choose one of: preference',
      ],
      [['import', 'gone.jsonl', '--project', 'q'], 1, 'gone.jsonl'],
      [['users', 'add', '--store', 'bad.db'], 1, 'Whom to add?'],
      [
        ['stats', '--project', 'q', '--store', 'postgres://me:secret@127.0.0.1:1/x'],
        1,
        'postgres://me:…@127.0.0.1:1/x',
      ],
    ];
    for (const [args, code, text] of cases) {
      const result = await run(...args);
      expect({ args, code: result.code }).toEqual({ args, code });
      expect(result.stderr).toContain(text);
      expect(result.stderr).not.toContain('secret');
    }
  });
});

it.skipIf(!postgres)('a store on PostgreSQL is filled and told about likewise (needs PostgreSQL)', async () => {
  const store = await postgres!.database();
  write('rated.jsonl', pairs.slice(0, 6));
  for (const name of ['ada', 'ben']) {
    const done = await run(
      'import',
      'rated.jsonl',
      '--project',
      'p',
      '--judgments-of',
      name,
      '--store',
      store,
      '--json',
    );
    expect(JSON.parse(done.stdout)).toMatchObject({ judgments: 6 });
  }
  const stats = JSON.parse((await run('stats', '--project', 'p', '--store', store, '--json')).stdout);
  expect(stats).toMatchObject({ judgments: 12, items: 6, disagreements: [], alpha: { alpha: 1, items: 6 } });
  expect(stats.balance[1].rows).toEqual([
    { name: 'web', items: 3, answered: 3 },
    { name: 'book', items: 3, answered: 3 },
  ]);
  expect((await run('stats', '--project', 'p', '--store', store)).stdout).toMatch(/judgments +12 on 6 of 6 items/);
});

it('a project is archived, brought back and deleted, with its name given twice', async () => {
  write('few.jsonl', pairs.slice(0, 2));
  const of = ['--project', 'gone', '--store', 'gone.db'];
  await run('import', 'few.jsonl', ...of);
  expect((await run('archive', ...of)).stdout).toContain('is archived');
  expect((await run('unarchive', ...of)).stdout).toContain('is back');
  expect(await run('delete', ...of, '--confirm', 'other')).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('expected "gone"'),
  });
  expect((await run('delete', ...of, '--confirm', 'gone')).code).toBe(0);
  expect(await run('stats', ...of)).toMatchObject({ code: 1, stderr: expect.stringContaining('no project') });
});

it('people are added with a token that is told once, and shut out', async () => {
  const { token } = JSON.parse(
    (await run('users', 'add', 'ada', '--role', 'owner', '--store', 'users.db', '--json')).stdout,
  );
  expect(token.length).toBeGreaterThan(40);
  expect((await run('users', 'list', '--store', 'users.db')).stdout).toMatch(/ada +owner/);
  expect((await run('users', 'add', 'ben', '--days', '3', '--store', 'users.db')).stdout).toMatch(
    /7 days:\n[\w-]{43}\n/,
  );
  expect((await run('users', 'list', '--store', 'users.db')).stdout).toMatch(
    /ben +annotator, token until \d{4}-\d\d-\d\d, not used yet/,
  );
  expect(await run('users', 'token', 'ben', '--days', 'some', '--store', 'users.db')).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('--days: expected a whole number from 1 to 3660, got "some"'),
  });
  expect((await run('users', 'remove', 'ada', '--store', 'users.db')).code).toBe(0);
  expect((await run('users', 'list', '--store', 'users.db')).stdout).toContain('access revoked');
  expect((await run('users', 'list', '--store', 'users.db')).stdout).not.toContain(token);
});

describe('a project of ratings', () => {
  it('takes its aspects by name, in a flag or a file of settings, and is refused without any', async () => {
    write('responses.jsonl', [{ prompt: 'Why?', completion: 'Because.' }]);
    const make = (...flags: string[]) => run('import', 'responses.jsonl', '--kind', 'rating', '--json', ...flags);
    expect((await make('--project', 'r', '--aspects', 'helpful, truthful')).code).toBe(0);
    writeFileSync(
      join(folder.path, 'settings.json'),
      JSON.stringify({ aspects: ['helpful', { name: 'true', scale: 3 }] }),
    );
    expect((await make('--project', 's', '--config', 'settings.json')).code).toBe(0);
    const without = await make('--project', 't');
    expect([without.code, without.stderr]).toEqual([1, expect.stringMatching(/needs aspects.*--aspects/s)]);
    const database = await openDatabase(join(folder.path, 'feedback.db'));
    const aspectsOf = async (name: string) => (await findProject(database, name)).settings.aspects;
    expect((await aspectsOf('r')).map(({ name }) => name)).toEqual(['helpful', 'truthful']);
    expect((await aspectsOf('s')).map(({ scale }) => scale)).toEqual([5, 3]);
    expect((await run('users', 'add', 'eve', '--projects', 'r')).code).toBe(0);
    expect((await run('users', 'join', 'eve', '--projects', 's')).code).toBe(0);
    const lost = await run('users', 'add', 'eva', '--projects', 'nowhere');
    expect([lost.code, lost.stderr]).toEqual([1, expect.stringContaining('no project named "nowhere"')]);
    for (const name of ['r', 's'])
      expect(await membersOf(database, (await findProject(database, name)).id)).toEqual(['eve']);
    expect((await listPeople(database)).map(({ name }) => name)).not.toContain('eva');
    const { person } = await addPerson(database, 'rates');
    const project = await findProject(database, 'r');
    const [{ item }] = await assignItems(database, project, person.id);
    const rate = (ratings: Record<string, number>) =>
      recordJudgment(database, project, person.id, {
        id: 'rated',
        item: item.id,
        judgment: { kind: 'rating', ratings },
      });
    await expect(rate({})).rejects.toThrow('ratings.helpful: expected 1 to 5, got nothing');
    await rate({ helpful: 4, truthful: 5 });
    await database.close();
  });
});

it('a store is backed up with a key, checked, and restored elsewhere', async () => {
  expect((await run('users', 'add', 'ada', '--store', 'work.db')).code).toBe(0);
  const without = await run('backup', 'work.db', '--out', 'work.backup', '--encrypt');
  expect([without.code, without.stderr]).toEqual([2, expect.stringMatching(/there is no key.*HEED_BACKUP_KEY/s)]);
  writeFileSync(join(folder.path, 'backup.key'), 'a key of many words\n');
  const made = await run('backup', 'work.db', '--out', 'work.backup', '--key-file', 'backup.key', '--json');
  const summary = JSON.parse(made.stdout);
  expect(summary).toMatchObject({ file: 'work.backup', encrypted: true, tables: { people: 1, items: 0 } });
  const locked = await run('restore', 'work.backup', '--store', 'restored.db');
  expect([locked.code, locked.stderr]).toEqual([1, expect.stringMatching(/is encrypted.*--key-file/s)]);
  vi.stubEnv('HEED_BACKUP_KEY', 'a key of many words');
  const restored = await run('restore', 'work.backup', '--store', 'restored.db');
  vi.unstubAllEnvs();
  expect(restored.stdout).toMatch(/restored +work.backup\n.*SHA-256 +[0-9a-f]{64}/s);
  expect((await run('users', 'list', '--store', 'restored.db')).stdout).toMatch(/ada +annotator/);
  expect((await run('backup', '--out', 'plain.backup', '--json', 'work.db')).stdout).toContain('"encrypted":false');
  expect((await run('restore', 'plain.backup', '--check', '--store', 'none.db')).stdout).toMatch(/whole +plain.backup/);
  expect(existsSync(join(folder.path, 'none.db'))).toBe(false);
  const full = await run('restore', 'plain.backup', '--store', 'restored.db');
  expect([full.code, full.stderr]).toEqual([1, expect.stringContaining('is not empty: it has people')]);
  for (const { stdout, stderr } of [made, locked, restored, full]) expect(stdout + stderr).not.toContain('many words');
});

it('the audit log is checked, a person is exported and deleted, and old data goes by rules', async () => {
  // four processes at once write one chain
  const people = ['zerlina', 'ben', 'cem', 'dia'];
  const add = (name: string) => heed(['feedback', 'users', 'add', name, '--store', 'log.db'], folder.path);
  const added = await Promise.all(people.map(add));
  expect(added.map(({ code }) => code)).toEqual([0, 0, 0, 0]);
  const check = await run('audit', 'log.db', '--verify', '--json');
  const { head, ...rest } = JSON.parse(check.stdout);
  expect(rest).toEqual({ store: 'log.db', valid: true, lines: 4, erased: 0 });
  const refused = await run('person', 'zerlina', '--store', 'log.db', '--delete');
  expect([refused.code, refused.stderr]).toEqual([
    2,
    expect.stringMatching(/--confirm: expected "zerlina".*users remove/s),
  ]);
  const gone = await run(
    ...[
      'person',
      'zerlina',
      '--store',
      'log.db',
      '--export',
      'zerlina.json',
      '--delete',
      '--confirm',
      'zerlina',
      '--json',
    ],
  );
  expect(JSON.parse(readFileSync(join(folder.path, 'zerlina.json'), 'utf8')).person.name).toBe('zerlina');
  const receipt = JSON.parse(readFileSync(join(folder.path, 'deletion-5.json'), 'utf8'));
  expect(JSON.parse(gone.stdout)).toEqual({ ...receipt, file: 'deletion-5.json' });
  expect(receipt).toMatchObject({ name: 'zerlina', lines: 1, export: expect.stringMatching(/^[0-9a-f]{64}$/) });
  expect(readFileSync(join(folder.path, 'log.db')).includes('zerlina')).toBe(false);
  const later = await run('audit', 'log.db', '--head', head.hash);
  expect([later.code, later.stdout]).toEqual([0, expect.stringMatching(/lines +5, 1 of them without details/)]);
  const listed = await run('audit', 'log.db', '--limit', '2');
  expect(listed.stdout).toMatch(/^5 .*person deleted.*\n4 .*person added/);

  const rules = await run('retain', 'log.db', '--log', '0', '--set', '--json');
  expect(JSON.parse(rules.stdout)).toMatchObject({
    rules: { store: { log: 0 } },
    deleted: { log: expect.any(Number) },
  });
  expect((await run('retain', 'log.db', '--dry-run')).stdout).toMatch(/log +kept 0 days/);
  const off = await run('retain', 'log.db', '--log', 'off');
  expect([off.code, off.stderr]).toEqual([2, expect.stringContaining('only --set can unset a rule')]);

  const database = await openDatabase(join(folder.path, 'log.db'));
  await database.query.updateTable('events').set({ kind: 'nothing' }).where('seq', '=', 2).execute();
  await database.close();
  const bad = await run('audit', 'log.db', '--verify', '--json');
  expect([bad.code, JSON.parse(bad.stdout).fault]).toEqual([1, expect.objectContaining({ kind: 'changed', seq: 2 })]);
  const none = await run('audit', 'none.db');
  expect([none.code, none.stderr, existsSync(join(folder.path, 'none.db'))]).toEqual([
    ...[1, expect.stringContaining('There is no store "none.db"'), false],
  ]);
});

it('a project moves in from another tool, dry first, out to another, and its work is paid', async () => {
  const fixture = join(import.meta.dirname, 'fixtures/transfer/argilla');
  const from = ['import', join(fixture, 'disk'), '--from', 'argilla', '--project', 'm', '--store', 'moved.db'];
  const dry = await run(...from, '--users', join(fixture, 'users.json'), '--dry-run');
  expect(dry.stdout).toMatch(
    /m preference \(pair, would be created\).*7 by ada, ben.*1 of 4 records.*Nothing was stored/s,
  );
  const done = await run(...from, '--users', join(fixture, 'users.json'), '--overlap', '3', '--json');
  const { projects } = JSON.parse(done.stdout);
  expect(projects.map(({ name, judgments }: { name: string; judgments: number }) => [name, judgments])).toEqual([
    ['m preference', 7],
    ['m order', 4],
    ['m improved', 1],
    ['m ratings', 5],
  ]);
  const of = ['--project', 'm preference', '--store', 'moved.db'];
  const out = await run('export', 'tasks', '--to', 'label-studio', ...of, '--json');
  expect(JSON.parse(out.stdout)).toMatchObject({ rows: 4, leftOut: [] });
  expect(existsSync(join(folder.path, 'tasks', 'config.xml'))).toBe(true);
  const back = await run(
    'import',
    'tasks',
    '--from',
    'label-studio',
    '--project',
    'b',
    '--store',
    'moved.db',
    '--json',
  );
  expect(JSON.parse(back.stdout).projects).toMatchObject([
    { name: 'b', kind: 'pair', added: 4, judgments: 7, suggestions: 4 },
  ]);
  const paid = await run('payments', 'pay.csv', '--rate', '20', ...of, '--json');
  expect(JSON.parse(paid.stdout)).toMatchObject({ work: [], rows: 0 });
  const wrong = await run('import', 'pairs.jsonl', '--project', 'm', '--dry-run');
  expect([wrong.code, wrong.stderr]).toEqual([2, expect.stringContaining('--dry-run: only with --from')]);
  const rated = await run('import', 'responses.jsonl', '--project', 'f', '--template', 'factuality', '--json');
  expect([rated.code, JSON.parse(rated.stdout).added]).toEqual([0, 1]);
});
