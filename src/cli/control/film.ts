/** heed film: what an agent learned, as moving pictures for anywhere. */
import { join } from 'node:path';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { HeedError } from '../../error.ts';
import { createFolder, writeFileAtomic } from '../../files.ts';
import type { EpisodeSample } from '../../rl/episodes.ts';
import { type FilmOptions, filmFormats, filmOf } from '../../rl/film.ts';
import { controlSettings } from '../../rl/load-policy.ts';
import { readSamples } from '../../run/run.ts';
import { createOutput, table } from '../program/output.ts';
import { UsageError } from '../program/usage.ts';

export function addFilm(command: Command): void {
  command
    .argument('<run>', 'folder of a run of heed train or heed rl')
    .option('--out <dir>', "where to write (default: the run's folder)")
    .option('--width <n>', 'width of each of the two clips in pixels', widthOf, 300)
    .addOption(
      new Option('--format <name>', 'GIF, or WebM, a tenth of its size').choices(filmFormats).default(filmFormats[0]),
    )
    .action((run: string, flags: Flags) => filming(run, flags));
}

interface Flags {
  out?: string;
  width: number;
  format: NonNullable<FilmOptions['format']>;
  json?: boolean;
}

function widthOf(text: string): number {
  const width = Number(text);
  if (Number.isInteger(width) && width >= 50 && width <= 2000) return width;
  throw new InvalidArgumentError('expected a whole number of pixels from 50 to 2000');
}

async function filming(run: string, { out = run, width, format, ...flags }: Flags): Promise<void> {
  controlSettings(run);
  if (/\.(gif|webm|mp4)$/i.test(out)) {
    throw new UsageError(`--out takes a folder, not the file "${out}"`, {
      hint: `name a folder: it gets film-1.${format}, film-2.${format} and so on; --format chooses ${filmFormats.join(' or ')}`,
    });
  }
  createFolder(out);
  const output = createOutput(flags);
  const samples = readSamples(run).filter(({ kind }) => kind === 'episode') as unknown as EpisodeSample[];
  const last = Math.max(...samples.map(({ step }) => step));
  const episodes = samples.filter(({ step }) => step === last);
  if (episodes.length === 0) {
    throw new HeedError(`"${run}" has no clips of its agent: they are recorded at its end`, {
      hint: `finish it with --resume ${run}, or draw episodes of its latest checkpoint with heed watch ${run}`,
    });
  }
  const films: { file: string; returns: [number, number] }[] = [];
  for (const sample of episodes) {
    const file = join(out, `film-${sample.episode}.${format}`);
    writeFileAtomic(file, await filmOf(sample, { width, format }));
    films.push({ file, returns: sample.returns });
  }
  output.say(
    table(
      films.map(({ file, returns }) => [
        file,
        `return ${returns[0].toFixed(1)} before, ${returns[1].toFixed(1)} after`,
      ]),
    ),
  );
  output.result({ films });
}
