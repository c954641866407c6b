/** Scores what an agent printed: 1 if its last line is the task's answer. */
export default (completions) =>
  completions.map(({ episode, row }) => Number(episode.output.trim().split('\n').at(-1).trim() === String(row.answer)));
