/** heed eval control: returns of a run's agent and of the untrained one, and the accuracy of the reward it learned. */
import type { Command } from 'commander';
import { evaluateRun, evaluateRunSchema } from '../../control/evaluate-run.ts';
import { returned } from '../../control/rl-record.ts';
import { percent } from '../../percent.ts';
import { addFlags, settingsFrom } from '../program/flags.ts';
import { createOutput, table } from '../program/output.ts';
import { checking } from '../program/usage.ts';

export function addEvalControl(command: Command): void {
  command.argument('<run>', 'folder of a run of heed train or heed rl');
  addFlags(command, evaluateRunSchema);
  command.action((run: string) => evaluating(run, command));
}

async function evaluating(run: string, command: Command): Promise<void> {
  const output = createOutput(command.opts<{ json?: boolean }>());
  const settings = settingsFrom(command, evaluateRunSchema);
  const evaluation = await evaluateRun(
    run,
    checking(() => evaluateRunSchema.parse(settings), settings),
  );
  const { heldOutAccuracy, foreseen } = evaluation;
  output.say(
    table([
      ['trained', returned(evaluation.return)],
      ['untrained', returned(evaluation.untrained)],
      ...(heldOutAccuracy === undefined
        ? []
        : [row('held-out accuracy', `${percent(heldOutAccuracy)} of random pairs of clips in the right order`)]),
      ...(foreseen === undefined
        ? []
        : [row('choices foreseen', `${percent(foreseen)} of the teacher’s, before they were learned`)]),
      ['step', evaluation.step.toLocaleString('en-US')],
    ]),
  );
  output.result(evaluation);
}

const row = (name: string, value: string): [string, string] => [name, value];
