import { useEffect, useRef, useState } from 'preact/hooks';
import { type Action, actions, bind, bindings, bindUsual } from './keys.ts';

const PRESS = 'press a key';

/** Shows what each key does, and changes it to the next one that is pressed. */
export function KeysDialog({ close }: { close(): void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [asked, setAsked] = useState<Action>();
  const [, redraw] = useState(0);
  useEffect(() => dialog.current!.showModal(), []);
  const now = bindings();
  return (
    <dialog
      ref={dialog}
      aria-labelledby="keys-title"
      onClose={close}
      onKeyDown={(event) => {
        if (!asked || ['Shift', 'Control', 'Alt', 'Meta', 'Tab'].includes(event.key)) return;
        event.preventDefault();
        if (event.key !== 'Escape') bind(asked, event.key.toLowerCase());
        setAsked(undefined);
      }}
    >
      <h2 id="keys-title">Keys</h2>
      <table>
        <tbody>
          {(Object.keys(actions) as Action[]).map((action) => (
            <tr>
              <th scope="row">{actions[action]}</th>
              <td>
                <button
                  type="button"
                  aria-label={`${asked === action ? PRESS : now[action]}: change the key of ${actions[action]}`}
                  onClick={() => setAsked(action)}
                >
                  {asked === action ? PRESS : <kbd>{now[action]}</kbd>}
                </button>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      <p class="quiet">
        Arrows choose left, right and equally good too. In a text, Escape leaves and Ctrl Enter sends.
      </p>
      <button
        type="button"
        onClick={() => {
          bindUsual();
          redraw((n) => n + 1);
        }}
      >
        As at first
      </button>{' '}
      <button type="button" onClick={() => dialog.current!.close()}>
        Close
      </button>
    </dialog>
  );
}
