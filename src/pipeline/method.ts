/** The method of a pipeline as a picture: who acts, who judges, and how that comes back to the policy. */
import type { Diagram, DiagramBox, DiagramLane } from '../run/report/diagram.ts';
import { lessonsOf, type TeachingSource, type TeachingStage } from './lessons.ts';
import type { BegunStage } from './measures.ts';
import type { Recipe } from './recipe.ts';

/** The picture; none if no stage teaches. */
export function methodDiagram({ stages }: Recipe, begun: readonly BegunStage[]): Diagram[] {
  const lessons = lessonsOf(stages, begun);
  const lanes = [...lessons.flatMap(agentLane), ...modelLanes(lessons)];
  if (lanes.length === 0) return [];
  return [
    {
      kind: 'diagram',
      title: 'How it was taught',
      caption: 'The names on the arrows are the stages of the pipeline.',
      lanes,
    },
  ];
}

const agent: DiagramBox = { label: 'Policy', note: 'plays', isMain: true };
const policy: DiagramBox = { label: 'Policy', note: 'writes', isMain: true };
const clips: DiagramBox = { label: 'Clips', note: 'of its play', icon: 'pair' };
const completions: DiagramBox = { label: 'Completions', note: 'two of a prompt', icon: 'pair' };
const rewarded: DiagramBox = { label: 'Completions', note: 'of prompts' };
const rewardModel: DiagramBox = { label: 'Reward model', note: 'predicts the judgments' };

const judged = ({ kind, note }: TeachingSource): DiagramBox =>
  kind === 'labels' ? { label: 'Labels of steps', note } : { label: 'Judgments', note, icon: 'choice' };
const by = (box: DiagramBox, arrow: string): DiagramBox => ({ ...box, arrow });

function agentLane({ stage: { name }, teaches, learner, source }: TeachingStage): DiagramLane[] {
  const lane = `${learner[0].toUpperCase()}${learner.slice(1)}`;
  if (teaches === 'taught agent') {
    return [{ name: lane, boxes: [agent, clips, judged(source!), rewardModel], back: { to: 0, label: name } }];
  }
  if (teaches !== 'rewarded agent') return [];
  const boxes: DiagramBox[] = [agent, { label: 'Play' }, { label: 'Reward', note: source!.note }];
  return [{ name: lane, boxes, back: { to: 0, label: name } }];
}

function modelLanes(lessons: readonly TeachingStage[]): DiagramLane[] {
  const texts = lessons.findLast(({ teaches }) => teaches === 'demonstrated model');
  const start: DiagramBox[] = texts?.source
    ? [{ label: 'Demonstrations', note: texts.source.note }, by(policy, texts.stage.name)]
    : [policy];
  const lanes = lessons.flatMap((lesson): DiagramLane[] => {
    switch (lesson.teaches) {
      case 'rewarded model':
        return rewardedLanes(lesson, lessons, start);
      case 'preferred model':
        return preferredLanes(lesson, start);
      case 'reward model': {
        const used = lessons.some(({ reward }) => reward === lesson.stage.name);
        return used || !lesson.source
          ? []
          : [{ name: 'A reward model', boxes: rewardBoxes(lesson, lesson.source, start) }];
      }
      default:
        return [];
    }
  });
  return lanes.length === 0 && start.length > 1 ? [{ name: MODEL, boxes: start }] : lanes;
}

const MODEL = 'A language model';

/** From the judged completions, or the data, to the reward model. */
const rewardBoxes = ({ stage }: TeachingStage, source: TeachingSource, start: readonly DiagramBox[]): DiagramBox[] => [
  ...(source.isOwn ? [...start, source.kind === 'labels' ? rewarded : completions] : []),
  judged(source),
  by(rewardModel, stage.name),
];

function rewardedLanes(
  { stage, source, reward }: TeachingStage,
  lessons: readonly TeachingStage[],
  start: readonly DiagramBox[],
): DiagramLane[] {
  const loop = (boxes: readonly DiagramBox[], to: number) => ({ name: MODEL, boxes, back: { to, label: stage.name } });
  const at = start.length - 1;
  if (source?.kind === 'judgments') return [loop([...start, completions, judged(source), rewardModel], at)];
  if (source) return [loop([...start, rewarded, { label: 'Reward', note: source.note }], at)];
  const model = lessons.find((lesson) => lesson.stage.name === reward);
  if (!model?.source) return [loop([...start, rewarded, rewardModel], at)];
  const boxes = rewardBoxes(model, model.source, start);
  if (model.source.isOwn) return [loop(boxes, at)];
  // others were judged: the policy comes after the reward model
  const before = start.length > 1 ? [{ name: MODEL, boxes: start }] : [];
  return [...before, loop([...boxes, by(policy, stage.name), rewarded], boxes.length - 1)];
}

function preferredLanes({ stage, source }: TeachingStage, start: readonly DiagramBox[]): DiagramLane[] {
  if (!source) return [];
  if (source.isOwn) {
    const boxes = [...start, completions, judged(source)];
    return [{ name: MODEL, boxes, back: { to: start.length - 1, label: stage.name } }];
  }
  const before = start.length > 1 ? [{ name: MODEL, boxes: start }] : [];
  return [...before, { name: MODEL, boxes: [judged(source), by(policy, stage.name)] }];
}
