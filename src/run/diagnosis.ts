/** Diagnosis of a training: what went wrong, by which evidence, and what to do about it. */

/** Something that a diagnosis found. */
export interface Finding {
  /** A stable name, such as `reward-inverted`. */
  code: string;
  /** `failure`: the training does not do what was wanted. `warning`: it may come to that. */
  severity: 'failure' | 'warning';
  /** What is wrong, with its evidence. One sentence. */
  text: string;
  /** What to do about it, with the flag if there is one. One sentence. */
  advice: string;
}

/** What a diagnosis found, and the measures that it judged by. */
export interface Diagnosis {
  /** Whether nothing was found. */
  healthy: boolean;
  /** The most important finding, or what shows that the training is healthy. One sentence. */
  summary: string;
  /** All findings, failures first; among equals, causes before their effects. */
  findings: Finding[];
  /** The measures by name. Absent: not measured. */
  measures: Record<string, number>;
}

/** A row of samples.jsonl with the diagnosis of the run. */
export interface DiagnosisRow extends Diagnosis {
  kind: 'diagnosis';
  /** The step after which it was made. */
  step: number;
}

/**
 * The diagnosis that a run stored after its last step; undefined if it is unfinished, or has gone on since.
 *
 * @param samples The run's rows of samples.
 * @param last The step of its last row of metrics.
 */
export function storedDiagnosis(samples: readonly { kind?: unknown }[], last: number): Diagnosis | undefined {
  const row = samples.findLast(({ kind }) => kind === 'diagnosis') as DiagnosisRow | undefined;
  if (!row || row.step < last) return undefined;
  const { healthy, summary, findings, measures } = row;
  return { healthy, summary, findings, measures };
}

/** Returns a function that calls `onNotice` with the failures of a diagnosis, once with each. */
export function noticesOnce(onNotice: (text: string) => void): (diagnosis: Diagnosis) => void {
  const noticed = new Set<string>();
  return ({ findings }) => {
    for (const { severity, code, text, advice } of findings) {
      if (severity !== 'failure' || noticed.has(code)) continue;
      noticed.add(code);
      onNotice(`${text} ${advice}`);
    }
  };
}

/**
 * Makes a diagnosis.
 *
 * @param findings In the order of importance among equals: causes before their effects.
 * @param healthy The summary if there are no findings.
 */
export function diagnosisOf(
  findings: readonly Finding[],
  healthy: string,
  measures: Record<string, number>,
): Diagnosis {
  const ordered = (['failure', 'warning'] as const).flatMap((severity) =>
    findings.filter((finding) => finding.severity === severity),
  );
  return {
    healthy: ordered.length === 0,
    summary: ordered[0]?.text ?? healthy,
    findings: ordered,
    measures,
  };
}
