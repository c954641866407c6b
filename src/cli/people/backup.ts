/** heed feedback backup and restore. */
import { type Command, Option } from 'commander';
import {
  type BackupSummary,
  backupStore,
  checkBackup,
  type RestoreSummary,
  restoreStore,
} from '../../feedback/store/backup.ts';
import { readText } from '../../files.ts';
import { createProgress, type Progress } from '../../run/progress.ts';
import { createOutput, table } from '../program/output.ts';
import { UsageError } from '../program/usage.ts';
import { checkText } from './audit.ts';

const KEY_HINT = 'Set HEED_BACKUP_KEY, or pass --key-file with the file that holds the key.';

const keyOption = () =>
  new Option('--key-file <path>', 'file that holds the key of an encrypted backup (default: HEED_BACKUP_KEY)');

interface KeyFlags {
  keyFile?: string;
  json?: boolean;
}

/** Adds what `backup` takes to a command whose argument is the store. */
export function addBackup(command: Command): void {
  command
    .requiredOption('--out <file>', 'file to write; it is replaced when the backup is complete')
    .option('--encrypt', 'encrypt it with the key in HEED_BACKUP_KEY or --key-file')
    .addOption(keyOption())
    .action(async (store: string, flags: KeyFlags & { out: string; encrypt?: boolean }) => {
      const output = createOutput(flags);
      const encrypt = flags.encrypt || flags.keyFile !== undefined;
      const passphrase = encrypt ? keyFrom(flags) : undefined;
      if (encrypt && passphrase === undefined) throw new UsageError('--encrypt: there is no key.', { hint: KEY_HINT });
      const { onRows, done } = progressOf();
      const summary = await backupStore({ store, out: flags.out, passphrase, onRows });
      done();
      output.say(table([['backup', flags.out], ...rowsOf(summary)]));
      output.result({ file: flags.out, ...summary });
    });
}

/** Adds what `restore` takes, besides --store. */
export function addRestore(command: Command): void {
  command
    .argument('<file>', 'a backup')
    .option('--check', 'only read the backup and check it; no store is touched')
    .addOption(keyOption())
    .action(async (file: string, flags: KeyFlags & { store: string; check?: boolean }) => {
      const output = createOutput(flags);
      const passphrase = keyFrom(flags);
      const { onRows, done } = progressOf();
      const summary: BackupSummary & Partial<RestoreSummary> = flags.check
        ? await checkBackup(file, { passphrase, onRows })
        : await restoreStore(file, { store: flags.store, passphrase, onRows });
      done();
      output.say(table([[flags.check ? 'whole' : 'restored', file], ...rowsOf(summary)]));
      if (summary.audit) output.say(checkText(summary.audit));
      output.result({ file, restored: !flags.check, ...summary });
    });
}

/** The key in a file, without the newline that editors put at its end, or in the environment. */
function keyFrom({ keyFile }: KeyFlags): string | undefined {
  if (keyFile === undefined) return process.env.HEED_BACKUP_KEY || undefined;
  const key = readText(keyFile).replace(/\r?\n$/, '');
  if (key !== '') return key;
  throw new UsageError(`--key-file: "${keyFile}" is empty.`, { hint: 'Put a long passphrase on its first line.' });
}

function progressOf() {
  let progress: Progress | undefined;
  const onRows = (rows: number, total: number) => {
    progress ??= createProgress({ total, unit: 'rows' });
    progress.update(rows);
  };
  return { onRows, done: () => progress?.done() };
}

const rowsOf = ({ created, tables, rows, sha256, encrypted }: BackupSummary): [string, string][] => [
  ['made', created],
  ['items', String(tables.items ?? 0)],
  ['judgments', String(tables.judgments ?? 0)],
  ['rows', `${rows} in all`],
  ['encrypted', encrypted ? 'yes' : 'no'],
  ['SHA-256', sha256],
];
