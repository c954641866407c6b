/** What a lead sees first of a project: how far it is, how good, how fast, what it costs, and what needs them. */
import { isStrong } from '../../feedback/quality/sequential.ts';
import { inProject, json, type ProjectDetails, projectApi, type QualityReport } from '../page/api.ts';
import { Loaded, useResource } from '../page/load.tsx';
import { alphaInWords } from '../review/alpha.ts';
import { failsGold } from '../review/gold.ts';
import { Tracks } from '../review/models.tsx';

/** One figure with what it means. */
interface Figure {
  label: string;
  value: string;
  /** What follows the value in smaller type. */
  rest?: string;
  note: string;
}

/** The first section of a project's page. */
export function Home(details: ProjectDetails) {
  const report = useResource<QualityReport>(() => json(projectApi.quality.$get(inProject(details.name))), details.name);
  return (
    <section class="home" aria-label="At a glance">
      {details.settings.goal && <p class="quiet">{details.settings.goal}</p>}
      <p class="quiet">
        Kind: {details.settings.kind}. Judgments per item: {details.settings.overlap}. Guidelines: version{' '}
        {details.guidelines.version}.
      </p>
      <Loaded of={report}>
        {(quality) => (
          <>
            <dl class="figures">
              {figuresOf(details, quality).map(({ label, value, rest, note }) => (
                <div key={label}>
                  <dt>{label}</dt>
                  <dd class="number">
                    {value} {rest && <small>{rest}</small>}
                  </dd>
                  <dd class="note">{note}</dd>
                </div>
              ))}
            </dl>
            <div class="two">
              <div>
                <Needs details={details} quality={quality} />
              </div>
              {quality.models && (
                <div>
                  <h2>Models</h2>
                  <Tracks models={quality.models.models} />
                  <a href={`#/models/${encodeURIComponent(details.name)}`}>Scores with their intervals</a>
                </div>
              )}
            </div>
          </>
        )}
      </Loaded>
    </section>
  );
}

const count = (n: number, what: string): string => `${n} ${what}${n === 1 ? '' : 's'}`;

/** Hours or minutes, whichever is easier to read. */
function timeInWords(seconds: number): string {
  if (seconds < 90 * 60) return `${Math.max(1, Math.round(seconds / 60))} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}

function figuresOf(
  { settings, progress: { items, answered, labels, budget, people } }: ProjectDetails,
  { alpha, aspects, cost, judged }: QualityReport,
): Figure[] {
  const missing = Math.max(0, budget === undefined ? (items - answered) * settings.overlap : budget - labels);
  const left = cost.seconds === null ? undefined : missing * cost.seconds;
  const work = `${count(labels, 'judgment')} by ${people} ${people === 1 ? 'person' : 'people'}`;
  const [rated] = aspects.filter(({ ratings }) => ratings > 0);
  const agreement = judged === 0 && rated ? rated.alpha : alpha;
  const spent = settings.pay === undefined ? undefined : cost.hours * settings.pay;
  return [
    {
      label: 'Complete items',
      value: String(answered),
      rest: `of ${items}`,
      note: left === undefined || missing === 0 ? work : `${work}; at most ${timeInWords(left)} of work left`,
    },
    {
      label: judged === 0 && rated ? `Agreement on ${rated.name}, α` : 'Agreement, α',
      value: agreement.alpha === null ? '–' : agreement.alpha.toFixed(2),
      note:
        agreement.interval[0] === null || agreement.interval[1] === null
          ? 'it needs items that two people judged'
          : `${alphaInWords(agreement.alpha)}; ${agreement.interval[0].toFixed(2)} to ${agreement.interval[1].toFixed(2)}`,
    },
    {
      label: 'Pace',
      value: cost.seconds === null ? '–' : cost.seconds.toFixed(1),
      rest: cost.seconds === null ? undefined : 's',
      note: cost.perHour === null ? 'no judgment was timed' : `a judgment; ${Math.round(cost.perHour)} an hour`,
    },
    {
      label: 'Cost',
      value: spent === undefined ? timeInWords(3600 * cost.hours) : spent.toFixed(2),
      note:
        cost.pricePerBit === null
          ? 'of judging. Set the pay per hour for the price'
          : `${cost.pricePerBit.toFixed(2)} per bit of information`,
    },
  ];
}

/** A thing that a lead should do, and where. */
interface Need {
  n?: number;
  text: string;
  link: string;
  verb: string;
}

function Needs({
  details: { name, guidelines, progress },
  quality,
}: {
  details: ProjectDetails;
  quality: QualityReport;
}) {
  const encoded = encodeURIComponent(name);
  const failing = quality.people.filter(({ gold }) => failsGold(gold));
  const changed = quality.people.filter(
    ({ left, change }) => isStrong(left.evidence) || isStrong(change?.evidence ?? null),
  );
  const agreement = `#/quality/${encoded}`;
  const needs: (Need | false)[] = [
    progress.items === 0 && {
      text: 'The project has no items yet.',
      link: `#/project/${encoded}`,
      verb: 'Add them below',
    },
    guidelines.text === '' && {
      text: 'The project has no guidelines yet.',
      link: `#/settings/${encoded}`,
      verb: 'Write them',
    },
    quality.undecided > 0 && {
      n: quality.undecided,
      text: quality.undecided === 1 ? 'disagreement to decide' : 'disagreements to decide',
      link: `#/decide/${encoded}`,
      verb: 'Decide',
    },
    failing.length > 0 && {
      n: failing.length,
      text: failing.length === 1 ? 'person fails gold items' : 'people fail gold items',
      link: agreement,
      verb: 'See',
    },
    changed.length > 0 && {
      n: changed.length,
      text: changed.length === 1 ? 'person favors a side or has changed' : 'people favor a side or have changed',
      link: agreement,
      verb: 'See',
    },
  ];
  const open = needs.filter((need) => need !== false);
  return (
    <>
      <h2>Needs you</h2>
      {open.length === 0 ? (
        <p class="quiet">Nothing now.</p>
      ) : (
        <ul class="needs">
          {open.map(({ n, text, link, verb }) => (
            <li key={text}>
              {n !== undefined && <b>{n}</b>} {text} <a href={link}>{verb}</a>
            </li>
          ))}
        </ul>
      )}
    </>
  );
}
