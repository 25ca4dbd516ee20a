import type { Translated } from '@/feature'
import type en from './en'

const ru: Translated<typeof en> = {
  title: 'Очереди',
  reason: 'Зачем (останется в аудите)',
  empty: { title: 'Очередей пока нет', text: 'Очередь появляется вместе с первым заданием.' },
  fields: { name: 'Очередь', state: 'Состояние', oldest: 'Старейшее в очереди', limits: 'Пределы' },
  states: {
    open: 'Открыта',
    paused: 'Пауза',
    draining: 'Осушается: ещё {count} | Осушается: ещё {count} | Осушается: ещё {count}',
  },
  pause: {
    act: 'Приостановить',
    of: 'Приостановить {name}',
    help: 'Новое не запускается. Начатое дойдёт до конца, и очередь осушится.',
    running: 'Сейчас выполняется {count} задание. | Сейчас выполняются {count} задания. | Сейчас выполняется {count} заданий.',
    done: '{name}: пауза',
  },
  resume: {
    act: 'Возобновить',
    of: 'Возобновить {name}',
    help: 'Задания снова запускаются.',
    done: '{name}: снова в работе',
  },
  limits: {
    act: 'Задать пределы',
    of: 'Пределы очереди {name}',
    help: 'Действуют для всех исполнителей в течение секунды. Пусто: без предела.',
    none: 'нет',
    running: '{number} сразу',
    runningPerKey: '{number} сразу на ключ',
    rate: 'не больше {number} за {time}',
    ratePerKey: 'не больше {number} за {time} на ключ',
    done: 'Пределы очереди {name} заданы',
    fields: {
      maxRunning: 'Заданий сразу',
      maxRunningPerKey: 'Заданий сразу на ключ',
      rateJobs: 'Начать не больше',
      rateSeconds: 'за столько секунд',
      rateJobsPerKey: 'Начать не больше на ключ',
      rateSecondsPerKey: 'за столько секунд',
    },
    mistakes: {
      whole: 'Целое число от 1',
      positive: 'От 0,001 до 2 147 483 с',
      both: 'Нужны оба',
    },
  },
  pauses: {
    title: 'Паузы',
    none: 'Ничего не приостановлено.',
    queue: 'Очередь {name}',
    kind: 'Вид {name}',
    tenant: 'Арендатор {name} в {queue}',
    pauseKind: 'Приостановить вид заданий',
  },
  workers: {
    title: 'Исполнители',
    alive: 'Жив',
    late: 'Опаздывает',
    draining: 'Завершается',
    drain: {
      act: 'Освободить',
      of: 'Освободить {name}',
      help: 'Новых заданий он не начнёт, начатые доведёт до конца, сколько бы это ни заняло, и завершится. Отменить нельзя: нового запустит тот, кто следит за исполнителями.',
      done: '{name} освобождается',
    },
    ago: '{time} назад',
    fields: { name: 'Исполнитель', load: 'Задания', kinds: 'Виды', heartbeat: 'Признак жизни', started: 'Запущен' },
    empty: { title: 'Нет живых исполнителей', text: 'Задания ждут, пока не запустят: codex-k8s worker.' },
  },
}
export default ru
