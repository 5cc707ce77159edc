#!/usr/bin/env bash
# Grades a class in parts, each on a machine of its own:
#   sbatch --array=1-50 --wait teaching/slurm.sh hw4 submissions.zip course
#SBATCH --job-name=grading
#SBATCH --cpus-per-task=4
#SBATCH --mem=12G
#SBATCH --time=01:00:00
set -euo pipefail
cd "${SLURM_SUBMIT_DIR}"
"${PYTHON:-.venv/bin/python}" -m grading grade "$1" "$2" --course "$3" \
  --part "${SLURM_ARRAY_TASK_ID}/${SLURM_ARRAY_TASK_COUNT}" --workers "${SLURM_CPUS_PER_TASK}"
