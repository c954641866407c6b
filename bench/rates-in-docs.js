/**
 * The figures of bench/results/rates.jsonl that the docs show. A page has each between two comments,
 *
 *     <!-- rates: count Hopper-v5 350 -->9 of 10<!-- end -->
 *
 * and test/rates.test.ts compares them with the results, or writes them: see `figuresOf` for the names. A result of other
 * settings than today's is not shown.
 */
import { median } from './figures.js';
import { judgeStranger, presetTrials, strangerTrials } from './rates.js';
import { strangers } from './strangers/list.js';

const MARKED = /(<!-- rates: ([^<>]+) -->)(.*?)(<!-- end -->)/gs;

/** Three digits, or all in front of the point. */
function figure(x) {
  const text = Math.abs(x) >= 100 ? x.toFixed(0) : Number(x.toPrecision(3)).toString();
  return Math.abs(x) < 0.001 ? '0' : text.replace('-', '−');
}

const returnsOf = (results) => results.map((result) => result.return);

/** The median and, where they differ, the lowest and the highest. */
function spread(returns) {
  const [lowest, highest] = [Math.min(...returns), Math.max(...returns)].map(figure);
  return `${figure(median(returns))}${lowest === highest ? '' : ` (${lowest} to ${highest})`}`;
}

function coreTime(results) {
  const seconds = median(results.map((result) => result.seconds));
  return `${Number(seconds.toPrecision(seconds < 100 ? 2 : 3))} s`;
}

function table(head, rows) {
  const line = (cells) => `| ${cells.join(' | ')} |`;
  return `\n\n${[head, head.map(() => '---'), ...rows].map(line).join('\n')}\n\n`;
}

/** What each mark of a page stands for, by its first word; the other words are arguments. */
export function figuresOf(results, heed) {
  const interval = (reached, n) =>
    heed
      .wilson(reached / n, n)
      .map((share) => Math.round(100 * share))
      .join(' to ');
  const rate = (returns, bar) => {
    const reached = returns.filter((one) => one >= bar).length;
    return `${reached} of ${returns.length} (${interval(reached, returns.length)} %)`;
  };
  const trials = presetTrials(heed).map((trial) => ({ ...trial, results: results(trial) }));
  const named = ({ env, options, message }) =>
    `${env} ${options.labels}${message.teacher ? ` ${message.teacher}` : ''}`;
  const measured = (...words) => {
    const found = trials.find((trial) => named(trial) === words.join(' '));
    if (found?.results) return found;
    const lacking = found ? 'no results with the present settings' : `none of ${trials.map(named).join(', ')}`;
    throw new Error(`"${words.join(' ')}": ${lacking}`);
  };
  const all = Object.keys(strangers).map((env) => strangerOf(env, strangerTrials(heed, env), results));
  const total = (rows, labels) => rows.reduce((sum, { reached }) => sum + reached[labels], 0);
  const share = (rows, labels) => {
    const [reached, n] = [total(rows, labels), 10 * rows.length];
    return `${reached} of ${n} (${Math.round((100 * reached) / n)} %; 95 % interval: ${interval(reached, n)} %)`;
  };

  return {
    /** The table of presets, or its rows of one environment. */
    presets: (only) =>
      table(
        ['Task', 'Labels', 'Return to reach', 'Seeds (95 %)', 'Median (lowest to highest)', 'Time of a core'],
        trials
          .filter(({ env, results }) => results && (!only || env === only))
          .map(({ env, unit, bar, near, options, message, results, control }) => {
            const returns = returnsOf(results);
            const { teacher } = message;
            const labels = teacher?.startsWith('mistake:') ? `${100 * teacher.slice(8)} % wrong` : teacher;
            return [
              unit ? `${env}, ${unit}` : env,
              `${options.labels}${labels ? `, ${labels}` : ''}${control ? ' (control)' : ''}`,
              `${figure(bar)}${near ? `; ${figure(near)}` : ''}`,
              `${rate(returns, bar)}${near ? `; ${returns.filter((one) => one >= near).length}` : ''}`,
              spread(returns),
              coreTime(results),
            ];
          }),
      ),
    /** Presets without results of their present settings. */
    missing: () =>
      trials
        .filter((trial) => !trial.results)
        .map(({ env, options }) => `${env} with ${options.labels} labels`)
        .join(', ') || 'none',
    count: (...words) => rate(returnsOf(measured(...words).results), measured(...words).bar).replace(/ \(.*/, ''),
    median: (...words) => figure(median(returnsOf(measured(...words).results))),
    time: (...words) => coreTime(measured(...words).results),
    /** Returns in the order of seeds. */
    returns: (...words) =>
      returnsOf(measured(...words).results)
        .map(figure)
        .join(', '),
    mean: (...words) => {
      const returns = returnsOf(measured(...words).results);
      return figure(returns.reduce((sum, one) => sum + one, 0) / returns.length);
    },
    /** The table of environments without a preset. */
    strangers: () =>
      table(
        ['environment', '100 labels', '300 labels', 'true reward', 'untrained'],
        [
          ...all.map(({ env, reached, labeled, best, untrained }) => [
            strangers[env].label,
            ...[100, 300].map((labels) => `${reached[labels]} (${figure(median(labeled[labels]))})`),
            ...[figure(best), figure(untrained)],
          ]),
          [`**all ${all.length}**`, `**${share(all, 100)}**`, `**${share(all, 300)}**`, '', ''],
          [
            `the ${all.length - 2} above the last two`,
            ...[100, 300].map((labels) => share(all.slice(0, -2), labels)),
            ...['', ''],
          ],
        ],
      ),
    /** Of all environments without a preset, successes and their share with Wilson's interval. */
    share: (labels) => share(all, labels),
    successes: (labels) => String(total(all, labels)),
    /** Returns of one such environment: lowest to highest. */
    range: (env, labels) => {
      const returns = all.find((row) => row.env === env).labeled[labels];
      return `${figure(Math.min(...returns))} to ${figure(Math.max(...returns))}`;
    },
    reached: (env, labels) => String(all.find((row) => row.env === env).reached[labels]),
    middle: (env, labels) => figure(median(all.find((row) => row.env === env).labeled[labels])),
  };
}

function strangerOf(env, { untrained, peer, labeled }, results) {
  const found = {
    untrained: results(untrained, 1),
    peer: results(peer),
    labeled: { 100: results(labeled[100]), 300: results(labeled[300]) },
  };
  for (const kept of [found.untrained, found.peer, found.labeled[100], found.labeled[300]]) {
    if (!kept) throw new Error(`${env}: no results with the present settings`);
  }
  const returns = {
    untrained: found.untrained[0].return,
    peer: returnsOf(found.peer),
    labeled: { 100: returnsOf(found.labeled[100]), 300: returnsOf(found.labeled[300]) },
  };
  return { env, ...returns, ...judgeStranger(returns) };
}

/** The page with its figures written again. */
export const withFigures = (page, figures) =>
  page.replace(MARKED, (_, start, mark, _before, end) => {
    const [name, ...words] = mark.split(' ');
    if (!Object.hasOwn(figures, name)) throw new Error(`${start}: none of ${Object.keys(figures).join(', ')}`);
    return `${start}${figures[name](...words)}${end}`;
  });
